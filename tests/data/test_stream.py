import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from cptlab.data.stream import TokenStream, evaluation_batch, gather, num_rows
from cptlab.data.tokens import Corpus, sha256_file
from cptlab.errors import UserError
from cptlab.mixtures.base import RowSet
from cptlab.mixtures.phased import Phased
from cptlab.mixtures.ramp import Ramp
from cptlab.mixtures.static import Static
from cptlab.replay.base import Replay
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


def plan(corpora, mixture, replay, *, steps=50, seed=0, **more):
    return TokenStream.plan(
        corpora, mixture, replay, general="general",
        steps=steps, rows_per_step=8, sequence_length=T, eos_id=EOS, seed=seed, **more,
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
    with pytest.raises(UserError, match=r"replay\.corpus is lew, which data does not have\. Did you mean law\?"):
        plan(corpora, Static(), FixedReplay(corpus="lew"))


def test_fresh_rows_are_found_again_by_their_global_number(corpora):
    stream = plan(corpora, Static(domain_share=0.3), FixedReplay(replay_share=0.25))
    corpus, row, epoch = stream.locate(np.arange(stream.fresh_before(50)))
    firsts = stream.corpora[0].tokens()[row * T], stream.corpora[1].tokens()[row * T % 80]
    located = np.where(corpus == 0, *firsts)
    for step in (0, 9, 49):
        batch = stream.batch(step)
        here = slice(stream.fresh_before(step), stream.fresh_before(step + 1))
        assert sorted(located[here]) == sorted(batch.input_ids[~batch.replayed, 0])
    laws = row[corpus == 1]
    np.testing.assert_array_equal(epoch[corpus == 1], np.arange(len(laws)) // 20)
    assert sorted(laws[:20]) == list(range(20))


def test_a_number_that_no_fresh_row_has_is_refused(corpora):
    stream = plan(corpora, Static(), NoReplay(), steps=2)
    with pytest.raises(IndexError, match="numbered 0 to 15, not 0 to 16"):
        stream.locate(np.array([0, 16]))


@dataclass(kw_only=True)
class Oldest(Replay):
    """Replays the oldest rows seen, a quarter of every batch."""

    variant_name: ClassVar[str] = "oldest"
    from_buffer: ClassVar[bool] = True

    def share(self, u):
        return np.full_like(u, 0.25)

    def pick(self, seed, step, count, seen):
        return np.arange(count) % seen


def test_a_buffer_replays_rows_already_seen_and_draws_none_before_the_first(corpora):
    stream = plan(corpora, Static(domain_share=0.5), Oldest())
    assert not stream.batch(0).replayed.any()
    first = stream.batch(0).input_ids
    for step in (1, 2, 30):
        batch = stream.batch(step)
        again = batch.input_ids[batch.replayed]
        assert len(again) >= 2
        assert all((row == first).all(axis=1).any() for row in again[:, :])
    assert stream.replay_tokens(50) == 98 * T  # two rows of every batch but the first
    assert sum(stream.tokens_by_corpus(50).values()) == 400 * T
    rows = [stream.batch(step) for step in range(50)]
    law = sum(int((batch.corpus == 1).sum()) for batch in rows)
    assert stream.tokens_by_corpus(50)["law"] == law * T
    assert stream.epochs_by_corpus(50)["law"] == law / 20


def test_a_plan_grows_and_what_was_planned_stays(corpora):
    whole = plan(corpora, Static(domain_share=0.3), NoReplay())
    rest = {"general": "general", "steps": 50, "rows_per_step": 8, "sequence_length": T, "eos_id": EOS, "seed": 0}
    grown = TokenStream(corpora, Static(), NoReplay(), **rest)
    for size in (1, 7, 30, 12):
        with pytest.raises(IndexError, match=f"step {grown.planned_steps} is not planned"):
            grown.batch(grown.planned_steps)
        grown.extend(np.tile([0.7, 0.3], (size, 1)), np.zeros(size))
        step = grown.planned_steps - 1
        np.testing.assert_array_equal(grown.batch(step).input_ids, whole.batch(step).input_ids)
    with pytest.raises(ValueError, match="50 \\+ 1 steps planned of 50"):
        grown.extend(np.tile([0.7, 0.3], (1, 1)), np.zeros(1))


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_the_ranks_rows_one_after_another_are_the_global_batch(corpora, world_size):
    stream = plan(corpora, Static(domain_share=0.3), NoReplay())
    parts = [stream.batch(17, rank, world_size) for rank in range(world_size)]
    np.testing.assert_array_equal(np.vstack([p.input_ids for p in parts]), stream.batch(17).input_ids)
    np.testing.assert_array_equal(np.concatenate([p.corpus for p in parts]), stream.batch(17).corpus)


def test_a_corpus_repeated_beyond_its_limit_is_refused_with_its_epochs(corpora):
    plan(corpora, Static(domain_share=0.1), NoReplay(), max_epochs=4)
    with pytest.raises(UserError, match=r"epochs of law 5 \(data\.max_epochs=4\).*data\.on_max_epochs=cap"):
        plan(corpora, Static(domain_share=0.25), NoReplay(), max_epochs=4)


def test_a_cap_gives_the_surplus_to_the_other_corpora_in_proportion(tmp_path, capsys):
    names = {"a": 1601, "b": 1601, "law": 81}
    corpora = {name: corpus(tmp_path, name, size, 1) for name, size in names.items()}
    shares = Static(shares={"a": 0.5, "b": 0.25, "law": 0.25})
    stream = TokenStream.plan(
        corpora, shares, NoReplay(), general="a", steps=50, rows_per_step=8, sequence_length=T, eos_id=EOS, seed=0,
        max_epochs=2, on_max_epochs="cap",
    )  # fmt: skip
    given = stream.counts.sum(axis=0)
    assert 38 <= given[2] <= 40
    assert given[0] / given[1] == pytest.approx(2, rel=0.02)
    assert stream.epochs_by_corpus(50)["law"] <= 2
    assert "instead of epochs of law 5 (data.max_epochs=2) the shares are a 0.6" in capsys.readouterr().err


def test_a_cap_without_another_corpus_is_refused(corpora):
    with pytest.raises(UserError, match="no other corpus takes the surplus"):
        plan(corpora, Static(domain_share=1.0), NoReplay(), max_epochs=2, on_max_epochs="cap")


def test_a_file_cut_short_is_refused_by_name(corpora):
    path = corpora["law"].path
    with open(path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(UserError, match=r"corpus law: .*law\.bin has 100 bytes instead of 162"):
        plan(corpora, Static(), NoReplay())


def test_a_file_that_changed_is_found_by_its_hash(corpora):
    good = replace(corpora["law"], content_hash=sha256_file(corpora["law"].path))
    good.verify()
    with open(good.path, "r+b") as file:
        file.write(b"\x07")
    with pytest.raises(UserError, match=r"law\.bin is corrupt"):
        good.verify()


def test_tokens_beyond_the_vocabulary_are_refused_with_their_row(corpora):
    stream = plan(corpora, Static(domain_share=1.0), NoReplay(), vocab_size=1050)
    with pytest.raises(UserError, match=r"law\.bin, row \d+, holds token 10\d\d, but the tokenizer.* 1050 tokens"):
        [stream.batch(step) for step in range(5)]


def test_corpora_of_two_tokenizers_are_refused(corpora):
    other = corpora | {"law": replace(corpora["law"], tokenizer_hash="abc")}
    with pytest.raises(UserError, match="corpus law was cut by another tokenizer"):
        plan(other, Static(), NoReplay())


def test_a_subset_is_read_in_every_epoch_and_bucket_after_bucket(corpora):
    rows = np.array([3, 1, 4, 15, 9, 2])

    class Chosen(Static):
        def row_sets(self, corpora, general):
            return {"law": RowSet(6, rows, buckets=2), "general": RowSet(10)}

    stream = plan(corpora, Chosen(domain_share=0.5), NoReplay())
    corpus, row, epoch = stream.locate(np.arange(400))
    law = row[corpus == 1].reshape(-1)[:198].reshape(-1, 2, 3)
    assert all(set(first) == {3, 1, 4} and set(second) == {15, 9, 2} for first, second in law)
    assert len({tuple(r.ravel()) for r in law}) > 10
    assert len(set(row[corpus == 0])) == 10
    assert stream.unique_tokens_by_corpus(50) == {"general": 10 * T, "law": 6 * T}
    assert epoch.max() == 33


SHARES3 = {"a": 0.5, "b": 0.3, "c": 0.2}


@pytest.mark.parametrize("block_rows", [1, 3, 8, 2000])
@pytest.mark.parametrize(
    ("mixture", "replay"),
    [
        (Static(domain_share=0.3), NoReplay()),
        (Static(domain_share=0.5), NoReplay()),
        (Static(domain_share=1.0), FixedReplay(replay_share=0.07)),
        (Ramp(start=0.1, end=0.9), NoReplay()),
        (Phased(fractions=[0.5, 0.5], domain_shares=[0.0, 0.9]), NoReplay()),
        (Static(domain_share=0.3), FixedReplay(replay_share=0.25)),  # three sources: no way but from the first step
    ],
)
def test_a_late_step_asked_for_first_is_the_one_reached_from_the_start(corpora, block_rows, mixture, replay):
    def stream():
        return TokenStream.plan(
            corpora, mixture, replay, general="general", steps=9000, rows_per_step=block_rows, sequence_length=T,
            eos_id=EOS, seed=0,
        )  # fmt: skip

    forwards, late = stream(), stream()
    every = forwards.table.counts(0, 9000)
    for step in (8999, 7000, 8500, 6000):
        np.testing.assert_array_equal(late.table.counts(step, step + 1)[0], every[step])
        assert late.tokens_by_corpus(step) == forwards.tokens_by_corpus(step)
    np.testing.assert_array_equal(late.table.counts(0, 9000), every)


def test_a_late_step_of_a_plan_of_two_sources_needs_few_steps_before_it(corpora):
    stream = plan(corpora, Static(domain_share=0.3), NoReplay(), steps=1_000_000)
    stream.batch(999_999)
    assert sum(stretch.ready - stretch.start for stretch in stream.table._stretches) < 10_000
    stream = plan(corpora, Static(domain_share=1.0), FixedReplay(replay_share=0.1), steps=1_000_000)
    assert stream.replay_tokens(1_000_000) == 800_000 * T
    assert sum(stretch.ready - stretch.start for stretch in stream.table._stretches) < 10_000


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_a_plan_goes_on_from_a_mark_without_the_steps_before_it(tmp_path, packing, monkeypatch):
    monkeypatch.setattr("cptlab.data.block_order.BLOCK_ROWS", 64)  # else all these steps are worked out together
    corpora = {name: documents(tmp_path, name) for name in SHARES3}

    def stream():
        return TokenStream.plan(
            corpora, Static(shares=SHARES3), FixedReplay(corpus="b", replay_share=0.1), general="a", steps=3000,
            rows_per_step=5, sequence_length=T, eos_id=EOS, seed=0, packing=packing,
        )  # fmt: skip

    first, second = stream(), stream()
    first.batch(2100)
    mark = json.loads(json.dumps(first.state_dict(2100)))
    assert mark["step"] == 2048
    second.load_state_dict(mark)
    np.testing.assert_array_equal(second.batch(2100).input_ids, first.batch(2100).input_ids)
    assert second.tokens_by_corpus(2999) == first.tokens_by_corpus(2999)
    np.testing.assert_array_equal(second.counts, first.counts)
    for change in ({"step": mark["step"] - 1}, {"rows": mark["rows"][1:]}):
        with pytest.raises(ValueError, match="not of this plan"):
            stream().load_state_dict(mark | change)


def test_a_mark_of_other_shares_is_refused(corpora, monkeypatch):
    monkeypatch.setattr("cptlab.data.block_order.BLOCK_ROWS", 64)
    mark = plan(corpora, Static(domain_share=0.3), NoReplay(), steps=600).state_dict(600)
    with pytest.raises(ValueError, match="not of this plan"):
        plan(corpora, Static(domain_share=0.4), NoReplay(), steps=600).load_state_dict(mark)


def documents(folder, name):
    """A corpus of documents of 1 to 4 tokens."""
    tokens = np.arange(1, 901)
    tokens[np.cumsum(np.random.default_rng(len(name)).integers(1, 5, 200))] = EOS
    tokens[-1] = EOS
    path = folder / f"{name}.bin"
    tokens.astype("<u2").tofile(path)
    return Corpus(name, name, "train", str(path), 900, 900, 1, "", "0" * 64)


def test_look_ups_in_any_order_and_over_epochs_agree_with_one_at_a_time(corpora):
    stream = plan(corpora, Static(domain_share=0.7), FixedReplay(replay_share=0.25), steps=900)
    index = np.random.default_rng(0).integers(0, stream.fresh_before(900), 70_000)
    many = np.stack(stream.locate(index))
    for i in (0, 1, 65_535, 65_536, 69_999):
        np.testing.assert_array_equal(np.stack(stream.locate(index[i : i + 1]))[:, 0], many[:, i])
    assert many[2].max() > 100


def test_rows_from_a_buffer_are_counted_as_they_are_drawn(tmp_path):
    corpora = {name: documents(tmp_path, name) for name in SHARES3}
    stream = TokenStream.plan(
        corpora, Static(shares=SHARES3), Oldest(), general="a", steps=600, rows_per_step=8, sequence_length=T,
        eos_id=EOS, seed=0, packing="best_fit",
    )  # fmt: skip
    rows, tokens = np.zeros(3, dtype=int), 0
    for step in range(600):
        for i, row in zip(*stream.locate(np.concatenate(stream.picks(step, step + 1)))[:2], strict=True):
            rows[i] += 1
            tokens += int(stream.rows[i].fill(np.array([row]))[0])
        if step in (0, 100, 255, 256, 599):
            np.testing.assert_array_equal(stream.replayed[: step + 1].sum(axis=0), rows)
            assert stream.replay_tokens(step + 1) == tokens
