"""Documents attended one by one on a CPU: the numbers of the mask, forward and backward."""

import pytest
import torch

from cptlab.models.tiny import Tiny
from cptlab.training.attention import choose, document_inputs, install
from cptlab.training.attention.documents import document_lengths
from cptlab.training.attention.inputs import is_less_work


def positions(*rows):
    return torch.stack([torch.cat([torch.arange(n) for n in row]) for row in rows])


def test_lengths_are_those_of_the_documents_of_all_rows():
    assert document_lengths(positions([3, 5], [8], [1, 7])) == [3, 5, 8, 1, 7]
    cut = torch.tensor([[4, 5, 0, 1]])  # a row that opens within a document
    assert document_lengths(cut) == [2, 2]


def test_many_short_documents_keep_the_mask():
    few, many = positions([300, 212]), positions([8] * 64)
    assert is_less_work(document_lengths(few), few)
    assert not is_less_work(document_lengths(many), many)


@pytest.mark.parametrize("causal", [True, False])
def test_losses_and_gradients_are_those_of_the_mask(causal):
    model = Tiny(size="30k").build(50, 256, 0)
    choice = choose("sdpa", "cpu", "fp32", "llama")
    install(model, choice)
    place = positions([100, 156], [256], [255, 1])
    ids = torch.randint(0, 50, place.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for by_document in (True, False):
        inputs = document_inputs(place, choice, causal=causal, by_document=by_document)
        assert ("document_lengths" in inputs) == by_document
        logits = model(input_ids=ids, use_cache=False, **inputs).logits
        model.zero_grad()
        logits.square().mean().backward()
        found.append((logits.detach(), [p.grad.clone() for p in model.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-4, atol=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
