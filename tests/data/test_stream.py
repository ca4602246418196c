import numpy as np
import pytest

from cptlab.data.stream import TokenStream, evaluation_batch, gather, num_rows
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError
from cptlab.mixtures.static import Static
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay

T, EOS = 4, 0


def corpus(folder, name, num_tokens, first):
    """Token i of the file is first + i, so that every row tells where it came from."""
    path = folder / f"{name}.bin"
    (np.arange(num_tokens) + first).astype("<u2").tofile(path)
    return Corpus(name, name, "train", str(path), num_tokens, num_tokens, 1, "", "")


@pytest.fixture
def corpora(tmp_path):
    return {"general": corpus(tmp_path, "general", 401, 1), "law": corpus(tmp_path, "law", 81, 1000)}


def plan(corpora, mixture, replay, *, steps=50, seed=0):
    return TokenStream.plan(
        corpora, mixture, replay, general="general",
        steps=steps, rows_per_step=8, sequence_length=T, eos_id=EOS, seed=seed,
    )  # fmt: skip


def test_rows_overlap_by_one_token_so_that_each_is_predicted_once(corpora):
    assert num_rows(corpora["law"], T) == 20
    np.testing.assert_array_equal(gather(corpora["law"], np.array([0, 1]), T), [[1000, 1001, 1002, 1003, 1004], [1004, 1005, 1006, 1007, 1008]])  # fmt: skip


def test_shares_are_exact_and_counted(corpora):
    stream = plan(corpora, Static(domain_share=0.25), NoReplay())
    rows = np.concatenate([stream.batch(step).corpus for step in range(50)])
    assert (rows == 1).sum() == 100
    assert stream.tokens_by_corpus(50) == {"general": 300 * T, "law": 100 * T}
    assert stream.unique_tokens_by_corpus(50) == {"general": 100 * T, "law": 20 * T}


def test_every_epoch_holds_every_row_once_and_epochs_differ(corpora):
    stream = plan(corpora, Static(domain_share=1.0), NoReplay(), steps=5)
    first = np.concatenate([stream.batch(step).input_ids[:, 0] for step in range(5)])
    assert sorted(first[:20].tolist()) == list(range(1000, 1080, 4)) or len(set(first.tolist())) == 20
    counts = np.unique(first, return_counts=True)[1]
    np.testing.assert_array_equal(counts, [2] * 20)  # 40 rows: two whole epochs


def test_replay_of_the_general_corpus_is_the_mixture_with_another_label(corpora):
    mixed = plan(corpora, Static(domain_share=0.3), NoReplay())
    replayed = plan(corpora, Static(domain_share=1.0), FixedReplay(replay_share=0.7))
    for step in (0, 7, 49):
        np.testing.assert_array_equal(mixed.batch(step).input_ids, replayed.batch(step).input_ids)
    assert mixed.replay_tokens(50) == 0
    assert replayed.replay_tokens(50) == 280 * T
    assert mixed.tokens_by_corpus(50) == replayed.tokens_by_corpus(50)


def test_a_batch_is_a_function_of_seed_and_step_alone(corpora):
    one, other = (plan(corpora, Static(domain_share=0.3), NoReplay()) for _ in range(2))
    one.batch(3)
    np.testing.assert_array_equal(one.batch(40).input_ids, other.batch(40).input_ids)
    assert (plan(corpora, Static(domain_share=0.3), NoReplay(), seed=1).batch(40).input_ids != one.batch(40).input_ids).any()  # fmt: skip


def test_evaluation_rows_are_the_same_in_every_run_and_at_most_all(corpora):
    batch = evaluation_batch(corpora["law"], 8, T, EOS)
    np.testing.assert_array_equal(batch.input_ids, evaluation_batch(corpora["law"], 8, T, EOS).input_ids)
    assert len(np.unique(batch.input_ids[:, 0])) == 8
    assert len(evaluation_batch(corpora["law"], 99, T, EOS).input_ids) == 20


def test_replay_from_an_unknown_corpus_is_refused(corpora):
    with pytest.raises(UserError, match=r"replay\.corpus is lew; data has general, law"):
        plan(corpora, Static(), FixedReplay(corpus="lew"))
