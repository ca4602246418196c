import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.data.best_fit import BestFitRows, best_fit, cut, document_ends
from cptlab.data.packing import IGNORE
from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError
from cptlab.mixtures.static import Static
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay

EOS = 0


def write(folder, name, lengths, first=1):
    """Documents of these lengths, EOS included; other tokens count up, so that each tells where it came from."""
    tokens = np.arange(sum(lengths)) + first
    tokens[np.cumsum(lengths) - 1] = EOS
    path = folder / f"{name}.bin"
    tokens.astype("<u2").tofile(path)
    return Corpus(name, name, "train", str(path), len(tokens), len(tokens), len(lengths), "", "0" * 64)


def naive(length, row_tokens):
    """One piece at a time into the row with the least room that holds it."""
    rooms = []
    for size in sorted(length.tolist(), reverse=True):
        fits = [(room, i) for i, room in enumerate(rooms) if room >= size]
        if fits:
            rooms[min(fits)[1]] -= size
        else:
            rooms.append(row_tokens - size)
    return sorted(row_tokens - np.array(rooms))


@given(st.data(), st.integers(2, 40))
def test_rows_are_those_of_best_fit_decreasing_one_piece_at_a_time(data, row_tokens):
    length = np.array(data.draw(st.lists(st.integers(1, row_tokens), min_size=1, max_size=60)))
    row = best_fit(length, row_tokens)
    assert sorted(np.bincount(row, weights=length)) == naive(length, row_tokens)


def test_a_document_longer_than_a_row_is_cut_into_full_rows_and_a_rest():
    start, length = cut(np.array([3, 14, 18]), 4)
    np.testing.assert_array_equal(start, [0, 3, 7, 11, 14])
    np.testing.assert_array_equal(length, [3, 4, 4, 3, 4])


def test_document_ends_are_found_across_the_pieces_of_a_scan(monkeypatch):
    monkeypatch.setattr("cptlab.data.best_fit.SCAN_TOKENS", 3)
    np.testing.assert_array_equal(document_ends(np.array([5, 6, 0, 7, 0, 0, 8, 0]), EOS), [3, 5, 6, 8])


def test_rows_hold_whole_documents_and_the_report_counts_what_was_cut(tmp_path):
    rows = BestFitRows(write(tmp_path, "a", [3, 11, 4, 2, 1]), 4, EOS)
    assert len(rows) == 6  # 4 + 4 + 3 of the long one; 3 takes nothing; 4; 2 + ...
    assert rows.report.split_documents == 1
    assert rows.report.padding == 6 * 4 - 21
    assert rows.fill(np.arange(6)).sum() == 21
    assert "20.00% of 5 documents are split" in rows.report.line("a")
    seen = []
    for row in range(6):
        into = np.empty(5, dtype=np.int64)
        rows.read(row, into)
        seen += into[: rows.fill(np.array([row]))[0]].tolist()
    assert sorted(seen) == sorted(np.fromfile(tmp_path / "a.bin", "<u2").tolist())


def test_the_index_is_made_once_and_read_again(tmp_path):
    corpus = write(tmp_path, "a", [3, 5, 4, 2, 6, 1])
    first = BestFitRows(corpus, 4, EOS)
    index = next(tmp_path.glob("*.npy"))
    stamp = index.stat().st_mtime_ns
    again = BestFitRows(corpus, 4, EOS)
    assert index.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.index, again.index)
    assert json.loads(next(tmp_path.glob("*.json")).read_text())["documents"] == 6


def test_a_file_that_ends_within_a_document_is_refused_by_name(tmp_path):
    corpus = write(tmp_path, "a", [3, 5])
    with pytest.raises(UserError, match=r"a\.bin does not end with the end of a document"):
        BestFitRows(corpus, 4, 999)


@pytest.fixture
def corpora(tmp_path):
    rng = np.random.default_rng(0)
    long = rng.integers(2, 40, 400)
    return {
        "general": write(tmp_path, "general", (long + (long % 16 == 1)).tolist()),  # no rest is an EOS alone
        "law": write(tmp_path, "law", rng.integers(5, 13, 500).tolist(), first=20_000),
        "code": write(tmp_path, "code", rng.integers(2, 5, 900).tolist(), first=40_000),
    }


def plan(corpora, mixture, replay=None, **more):
    return TokenStream.plan(
        corpora, mixture, replay or NoReplay(), general="general", steps=80, rows_per_step=8, sequence_length=16,
        eos_id=EOS, seed=0, packing="best_fit", **more,
    )  # fmt: skip


def test_labels_of_packed_rows_are_the_next_tokens_of_their_document(corpora):
    stream = plan(corpora, Static(shares={"general": 0.5, "law": 0.3, "code": 0.2}))
    for step in range(0, 80, 9):
        batch = stream.batch(step)
        kept = batch.labels != IGNORE
        inside = kept & (batch.labels != EOS)
        np.testing.assert_array_equal(batch.labels[inside], batch.input_ids[inside] + 1)
        assert not kept[batch.input_ids == EOS].any()


def test_shares_of_padded_rows_are_true_in_tokens_within_a_row(corpora):
    shares = {"general": 0.5, "law": 0.3, "code": 0.2}
    stream = plan(corpora, Static(shares=shares))
    counted = dict.fromkeys(corpora, 0)
    names = list(corpora)
    for step in range(80):
        batch = stream.batch(step)
        kept = (batch.labels != IGNORE).sum(axis=1) + count_ends(batch)
        for i, tokens in zip(batch.corpus, kept, strict=True):
            counted[names[i]] += int(tokens)
        assert counted == stream.tokens_by_corpus(step + 1)
        total = sum(counted.values())
        assert max(abs(counted[name] - share * total) for name, share in shares.items()) <= 16
    assert stream.tokens_seen(80) == sum(counted.values())


def count_ends(batch):
    """(B,) documents that end in each row: each EOS up to the one after the last other token; then comes padding."""
    other = batch.input_ids != EOS
    last = other.shape[1] - np.argmax(other[:, ::-1], axis=1)
    return ((batch.input_ids == EOS) & (np.arange(other.shape[1]) <= last[:, None])).sum(axis=1)


def test_replay_reads_on_in_packed_rows(corpora):
    stream = plan(corpora, Static(shares={"law": 0.6, "code": 0.4}), FixedReplay(replay_share=0.25))
    assert stream.replay_tokens(80) / stream.tokens_seen(80) == pytest.approx(0.25, abs=0.01)
    assert stream.replay_tokens(80) == stream.tokens_by_corpus(80)["general"]


def test_what_packing_does_to_documents_is_told_for_the_record(tmp_path, monkeypatch):
    corpora = {"general": write(tmp_path, "general", [3, 11, 4, 2, 1])}  # rows of 4 end after 4, 8, 12, 16, 20

    def told(packing):
        return TokenStream.plan(
            corpora, Static(domain_share=0.0), NoReplay(), general="general", steps=1, rows_per_step=1,
            sequence_length=4, eos_id=EOS, seed=0, packing=packing,
        ).packing()["general"]  # fmt: skip

    packed = told("best_fit")
    assert (packed["documents"], packed["split_documents"], packed["rows"], packed["padding"]) == (5, 1, 6, 3)
    assert told("concat") == {"documents": 5, "longer_than_a_row": 1, "split_documents": 2, "tokens": 21}
    assert packed["split_if_concatenated"] == 2
    monkeypatch.setattr("cptlab.data.best_fit.REPORT_TOKENS", 15)
    assert told("concat") == {"documents": 2, "longer_than_a_row": 1, "split_documents": 1, "tokens": 15}
