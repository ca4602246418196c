import numpy as np
import ot
import pytest
from scipy.special import logsumexp

from cptlab.data.sources.base import split_of
from cptlab.errors import UserError
from cptlab.selection import got_d
from cptlab.selection.got_d import GotD, calibrated_gradient, duals


def transport_cost(cost, masses, entropy=0.1):
    """min over plans P of sum P C + entropy sum P (log P - 1), the objective whose row potentials `duals` gives."""
    plan = ot.sinkhorn(masses, np.full(cost.shape[1], 1 / cost.shape[1]), cost, entropy, method="sinkhorn_log", numItermax=20_000, stopThr=1e-12)  # fmt: skip
    return float(np.sum(plan * cost) + entropy * np.sum(plan * (np.log(plan) - 1)))


@pytest.fixture
def cost():
    return np.random.default_rng(0).uniform(0, 2, (6, 5))


def test_the_calibrated_gradient_is_the_derivative_of_the_cost_as_mass_moves_to_a_document(cost):
    n, step = len(cost), 1e-4
    got = calibrated_gradient(cost, 0.1)
    for i in range(n):
        direction = np.full(n, -1 / (n - 1))
        direction[i] = 1
        up, down = (transport_cost(cost, 1 / n + sign * step * direction) for sign in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx(got[i], abs=1e-4)


def test_leaving_a_document_out_changes_the_cost_against_its_gradient(cost):
    gradient = calibrated_gradient(cost, 0.1)
    n = len(cost)
    for i in (int(gradient.argmin()), int(gradient.argmax())):
        masses = np.full(n, 1 / n)
        masses[i] -= 1e-3
        masses[np.arange(n) != i] += 1e-3 / (n - 1)
        change = transport_cost(cost, masses) - transport_cost(cost, np.full(n, 1 / n))
        assert np.sign(change) == -np.sign(gradient[i])


def test_the_potentials_make_the_plan_spread_each_documents_mass(cost):
    f = duals(cost, 0.1)
    g = np.log(1 / 5) - logsumexp((f[:, None] - cost) / 0.1, axis=0)  # the other side's, from f
    plan = np.exp((f[:, None] - cost) / 0.1 + g)
    np.testing.assert_allclose(plan.sum(1), 1 / 6, rtol=1e-5)


def test_gradients_sum_to_zero_and_a_constant_cost_prefers_no_document(cost):
    assert calibrated_gradient(cost, 0.1).sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(calibrated_gradient(np.ones((4, 3)), 0.1), 0, atol=1e-9)


@pytest.mark.parametrize("embedding", ["ngrams", "model"])
def test_the_planted_cluster_of_the_target_is_picked(embedding, source, tokenizer, corpus_folder, small_model):
    selection = GotD(
        target=f"{corpus_folder}/target.jsonl", share=0.3, embedding=embedding, max_tokens=64,
        model=str(small_model) if embedding == "model" else "",
    )  # fmt: skip
    documents = selection.filter(source.documents(), tokenizer, source).documents["mixed"]()
    law = [int(d.text.split()[0]) % 2 for d in documents if split_of(d) == "train"]
    assert np.mean(law) > (0.99 if embedding == "ngrams" else 0.8)  # half of the corpus is law; the model is random


def test_too_many_pairs_are_refused_before_they_are_compared(source, tokenizer, corpus_folder, monkeypatch):
    monkeypatch.setattr(got_d, "CELLS", 100)
    with pytest.raises(UserError, match=r"compares \d+ documents with 40 of the target, .* lower selection\.targets"):
        GotD(target=f"{corpus_folder}/target.jsonl").filter(source.documents(), tokenizer, source)


def test_an_entropy_at_which_the_transport_is_not_found_is_refused():
    with pytest.raises(UserError, match=r"selection\.entropy=0\.0001 is too small"):
        duals(np.random.default_rng(0).uniform(0, 2, (20, 20)), 1e-4, rounds=20)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: GotD(), r"selection=got_d needs selection\.target"),
        (lambda: GotD(target="x", embedding="modle"), r"selection\.embedding is modle\. Did you mean model\?"),
        (lambda: GotD(target="x", embedding="model"), r"embedding=model and a model's folder go together"),
        (lambda: GotD(target="x", model="y"), r"embedding=model and a model's folder go together"),
        (lambda: GotD(target="x", entropy=0), r"selection\.entropy is 0; it must be above 0"),
        (lambda: GotD(target="x", targets=0), r"buckets=1024, targets=0, max_tokens=512 must be 1 or more"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_key(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
