"""KL to the top k of a base's answers: against the whole KL, in chunks, and where both agree."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from cptlab.training.answers import Answers, kl_to_answers, lumped_kl, top_answers

N, D, V = 7, 5, 11


@pytest.fixture
def drawn():
    draw = torch.Generator().manual_seed(0)
    head = nn.Linear(D, V, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.randn(V, D, generator=draw))
    hidden, base = torch.randn(2, N, D, generator=draw).unbind()
    return hidden.requires_grad_(), base, head


def whole_kl(base_logits, logits):
    log_q, log_p = base_logits.log_softmax(-1), logits.log_softmax(-1)
    return (log_q.exp() * (log_q - log_p)).sum(-1)


def test_with_all_tokens_it_is_the_kl_divergence(drawn):
    hidden, base, head = drawn
    answers = top_answers(base, head, top_k=99, chunk=3)
    assert answers.ids.shape == (N, V)
    got = lumped_kl(head(hidden), answers.ids, answers.log_q)
    torch.testing.assert_close(got, whole_kl(head(base), head(hidden)))


def test_fewer_tokens_give_less_but_never_less_than_nothing(drawn):
    hidden, base, head = drawn
    kls = []
    for k in (1, 3, 8, V):
        answers = top_answers(base, head, k)
        kls.append(lumped_kl(head(hidden), answers.ids, answers.log_q))
    for less, more in pairwise(kls):
        assert (less <= more + 1e-6).all()
    assert (kls[0] >= 0).all()
    assert (kls[1] < kls[3] - 1e-3).any()


def test_two_events_by_hand():
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
    got = lumped_kl(logits, torch.tensor([[0]]), torch.tensor([[0.8]]).log())
    expected = 0.8 * torch.log(torch.tensor(0.8 / 0.5)) + 0.2 * torch.log(torch.tensor(0.2 / 0.5))
    torch.testing.assert_close(got[0], expected)


def test_a_model_that_is_its_base_has_no_gradient(drawn):
    hidden, _, head = drawn
    answers = top_answers(hidden.detach(), head, 3)
    total = kl_to_answers(hidden, head, answers, torch.ones(N))
    total.backward()
    assert abs(total.item()) < 1e-5
    assert hidden.grad.abs().max() < 1e-5
    assert head.weight.grad.abs().max() < 1e-5


def test_chunks_give_the_gradients_of_the_whole(drawn):
    hidden, base, head = drawn
    answers, weight = top_answers(base, head, 4), torch.linspace(0, 1, N)
    total = kl_to_answers(hidden, head, answers, weight, chunk=2)
    total.backward()
    in_chunks = hidden.grad.clone(), head.weight.grad.clone()
    hidden.grad = head.weight.grad = None
    whole = (lumped_kl(head(hidden), answers.ids, answers.log_q) * weight).sum()
    whole.backward()
    torch.testing.assert_close(total, whole)
    torch.testing.assert_close(in_chunks, (hidden.grad, head.weight.grad))
    assert in_chunks[0].abs().max() > 0.1


def test_no_tokens_cost_nothing(drawn):
    hidden, _, head = drawn
    empty = Answers(torch.zeros(0, 3, dtype=torch.int32), torch.zeros(0, 3))
    assert kl_to_answers(hidden[:0], head, empty, torch.zeros(0)) == 0
