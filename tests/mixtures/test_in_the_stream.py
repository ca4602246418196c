"""Mixtures in a real token stream: stages, subsets and curricula down to the rows."""

import numpy as np
import pytest

from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError
from cptlab.mixtures.perplexity_curriculum import PerplexityCurriculum
from cptlab.mixtures.phased import Phased
from cptlab.mixtures.static import Static
from cptlab.mixtures.subset_epochs import SubsetEpochs
from cptlab.mixtures.ucb import UCB
from cptlab.mixtures.unimax import UniMax
from cptlab.replay.none import NoReplay

T = 4


def corpus(folder, name, num_rows, first):
    """Row r of the corpus begins with token first + 4 r."""
    path = folder / f"{name}.bin"
    (np.arange(num_rows * T + 1) + first).astype("<u2").tofile(path)
    return Corpus(name, name, "train", str(path), num_rows * T + 1, 1, 1, "", "")


@pytest.fixture
def corpora(tmp_path):
    return {"general": corpus(tmp_path, "general", 100, 1), "law": corpus(tmp_path, "law", 40, 1000)}


def plan(corpora, mixture, steps=20, seed=0):
    return TokenStream.plan(
        corpora, mixture, NoReplay(), general="general",
        steps=steps, rows_per_step=8, sequence_length=T, eos_id=0, seed=seed,
    )  # fmt: skip


def law_rows(stream):
    """Rows of the domain in the order of training."""
    batches = [stream.batch(step) for step in range(stream.steps)]
    return np.concatenate([(b.input_ids[b.corpus == 1, 0] - 1000) // T for b in batches])


def test_equal_stages_are_a_static_mixture_bit_by_bit(corpora):
    phased = plan(corpora, Phased(fractions=[0.3, 0.7], domain_shares=[0.37, 0.37]))
    static = plan(corpora, Static(domain_share=0.37))
    for step in range(20):
        one, other = phased.batch(step), static.batch(step)
        np.testing.assert_array_equal(one.input_ids, other.input_ids)
        np.testing.assert_array_equal(one.corpus, other.corpus)


def test_a_subset_is_read_as_often_as_asked_and_nothing_else(corpora):
    stream = plan(corpora, SubsetEpochs(domain_share=0.5, epochs=4))  # 80 rows of law: 20 rows, 4 times
    rows, counts = np.unique(law_rows(stream), return_counts=True)
    assert counts.tolist() == [4] * 20
    assert stream.unique_tokens_by_corpus(20)["law"] == 20 * T
    assert len(np.unique(rows)) < 40


def test_a_subset_is_the_same_under_every_seed_and_part_of_a_larger_one(corpora):
    first = set(law_rows(plan(corpora, SubsetEpochs(epochs=8))))
    assert first == set(law_rows(plan(corpora, SubsetEpochs(epochs=8), seed=5)))
    larger = set(law_rows(plan(corpora, SubsetEpochs(epochs=4))))
    assert len(first) == 10
    assert first < larger


def test_the_best_subset_has_the_highest_scores(corpora, tmp_path):
    scores = np.random.default_rng(0).normal(size=40)
    np.save(tmp_path / "law.npy", scores)
    mixture = SubsetEpochs(epochs=8, choose="best", scores={"law": str(tmp_path / "law.npy")})
    assert set(law_rows(plan(corpora, mixture))) == set(np.argsort(-scores)[:10].tolist())


def test_a_subset_larger_than_its_corpus_is_refused_with_the_epochs_it_would_be(corpora):
    with pytest.raises(UserError, match=r"wants 80 rows of law, which has 40: the run reads it 2 times"):
        plan(corpora, SubsetEpochs(epochs=1))


def test_a_curriculum_goes_from_easy_to_hard_in_buckets(corpora, tmp_path):
    scores = np.random.default_rng(1).normal(size=40)
    np.save(tmp_path / "law.npy", scores)
    given = {"domain_share": 1.0, "buckets": 4, "scores": {"law": str(tmp_path / "law.npy")}}
    rows = law_rows(plan(corpora, PerplexityCurriculum(**given), steps=5))
    rank = np.argsort(np.argsort(-scores))  # 0 = easiest
    for bucket in range(4):  # a batch is shuffled: batch edges and bucket edges meet every 40 rows only
        assert set(rows[: 8 * (bucket + 1)]) <= set(np.flatnonzero(rank < 10 * (bucket + 1)))
    assert sorted(rows) == list(range(40))
    hard = law_rows(plan(corpora, PerplexityCurriculum(hard_first=True, **given), steps=5))
    assert (rank[hard[:8]] >= 30).all()


def test_a_short_curriculum_still_reaches_the_hardest_rows(corpora, tmp_path):
    np.save(tmp_path / "law.npy", -np.arange(40.0))
    mixture = PerplexityCurriculum(domain_share=1.0, buckets=8, scores={"law": str(tmp_path / "law.npy")})
    rows = law_rows(plan(corpora, mixture, steps=1))
    assert sorted(rows) == [2, 7, 12, 17, 22, 27, 32, 37]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (np.zeros(39), r"has shape \[39\]; the train split of law has 40 rows"),
        (np.full(40, np.nan), "no finite number"),
        (np.array(["x"] * 40), "no finite number"),
    ],
)
def test_scores_that_do_not_fit_are_refused(corpora, tmp_path, content, sentence):
    if content is not None:
        np.save(tmp_path / "law.npy", content)
    with pytest.raises(UserError, match=rf"mixture\.scores\.law.*{sentence}"):
        plan(corpora, SubsetEpochs(choose="best", scores={"law": str(tmp_path / "law.npy")}))


def test_a_choice_by_score_without_scores_is_refused(corpora):
    with pytest.raises(UserError, match=r"mixture\.scores has no file for law"):
        plan(corpora, PerplexityCurriculum())


def test_unimax_passes_over_no_corpus_more_often_than_its_cap(corpora):
    stream = plan(corpora, UniMax(max_epochs=1.5), steps=25)  # 200 of 210 rows
    assert stream.epochs_by_corpus(25) == pytest.approx({"general": 1.4, "law": 1.5})


def test_of_a_mixture_that_learns_only_the_steps_to_the_first_decision_are_planned(corpora):
    stream = plan(corpora, UCB(interval=0.25))
    assert stream.planned_steps == 5
    with pytest.raises(IndexError, match="step 5 is not planned"):
        stream.batch(5)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: SubsetEpochs(epochs=0.5), r"mixture\.epochs is 0\.5; it must be 1 or more"),
        (lambda: SubsetEpochs(choose="bets"), r"mixture\.choose is bets\. Did you mean best\?"),
        (lambda: SubsetEpochs(subset_rows=-1), r"mixture\.subset_rows is -1"),
        (lambda: SubsetEpochs(domain_share=-0.1), r"mixture\.domain_share is -0\.1"),
        (lambda: PerplexityCurriculum(buckets=0), r"mixture\.buckets is 0"),
    ],
)
def test_a_subset_that_makes_no_sense_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
