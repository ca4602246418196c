import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.data.building.decontaminate import collect, ngrams, split_entry
from cptlab.data.corpus import prepare
from cptlab.data.sources.base import split_of
from cptlab.data.sources.files import Files
from cptlab.errors import UserError

WORDS = st.lists(st.sampled_from(["sea", "tide", "fish", "net", "boat"]), max_size=30)


@given(WORDS, WORDS, st.integers(2, 6))
def test_a_hit_is_a_shared_run_of_n_words(one, two, n):
    overlap, short = collect([" ".join(one)], n)
    runs = {tuple(one[i : i + n]) for i in range(len(one) - n + 1)}
    assert short == (len(one) < n)
    assert overlap.hits(" ".join(two)) == any(tuple(two[i : i + n]) in runs for i in range(len(two) - n + 1))


def test_case_and_punctuation_do_not_hide_an_overlap_and_han_characters_are_words():
    overlap, _ = collect(["The sea, the sea -- it was calm."], 4)
    assert overlap.hits("He wrote: THE SEA (the sea) again")
    assert not overlap.hits("the sea was calm")
    assert len(ngrams("子曰學而時習之", 3)) == 5
    assert not np.intersect1d(ngrams("a b c", 3), ngrams("c b a", 3)).size


def test_planted_overlaps_are_dropped_and_counted_and_clean_documents_stay(tmp_path, jsonl, texts):
    held = next(t for t in texts if split_of_text(t) == "valid")
    trained = [t for t in texts if split_of_text(t) == "train"]
    question = "where does the heron stand when the tide has left the harbour wall dry again"
    planted = [f"Copy of it: {' '.join(held.split()[2:18])}", f"{trained[0]} {question.upper()}?"]
    planted = [next(t for i in range(99) if split_of_text(t := f"{p} {i}") == "train") for p in planted]
    evaluation = tmp_path / "eval.jsonl"
    evaluation.write_text(json.dumps({"question": question}) + "\n" + json.dumps({"question": "too short"}) + "\n")
    corpora = {"a": jsonl("a.jsonl", texts + planted)}
    fields = {"vocab_size": 300, "sequence_length": 16, "cache_dir": str(tmp_path / "cache")}
    entries = ["held_out", f"{evaluation}:question"]
    clean = prepare(Files(corpora={"a": jsonl("b.jsonl", texts)}, **fields))
    tokenizer = clean.tokenizer_path
    plain = prepare(Files(corpora=corpora, tokenizer=tokenizer, **fields))
    cleaned = prepare(Files(corpora=corpora, tokenizer=tokenizer, decontaminate=entries, decontaminate_ngram=12, **fields))  # fmt: skip
    reference = prepare(Files(corpora=corpora, tokenizer=tokenizer, decontaminate=entries, decontaminate_ngram=99, **fields))  # fmt: skip
    assert cleaned.left_out == {"a": {"contaminated": 2}}
    assert reference.left_out == {"a": {}}
    assert cleaned["a"]["train"].content_hash == clean["a"]["train"].content_hash != plain["a"]["train"].content_hash
    assert reference["a"]["train"].content_hash == plain["a"]["train"].content_hash
    for split in ("valid", "fit", "test"):
        assert cleaned["a"][split].content_hash == clean["a"][split].content_hash


def split_of_text(text: str) -> str:
    from cptlab.data.sources.base import Document, content_id

    return split_of(Document(content_id(text), text))


def test_an_entry_is_a_path_with_a_field():
    assert [split_entry(e) for e in ("a.jsonl", "a.jsonl:question", "held_out")] == [
        ("a.jsonl", "text"), ("a.jsonl", "question"), ("held_out", "text"),
    ]  # fmt: skip


def test_settings_that_cannot_work_are_refused_by_name(jsonl):
    for fields, sentence in [
        ({"decontaminate_ngram": 1}, r"data\.decontaminate_ngram is 1; it must be at least 2"),
        ({"decontaminate": ["a", "a"]}, r"data\.decontaminate names one twice: a, a"),
        ({"filters": ["gofer_quality"]}, r"no filter gofer_quality\. Did you mean gopher_quality\?"),
    ]:
        with pytest.raises(UserError, match=sentence):
            Files(**fields)
    with pytest.raises(UserError, match=r"data\.decontaminate: there is no .*nowhere\.jsonl"):
        prepare(Files(corpora={"a": jsonl()}, decontaminate=["nowhere.jsonl"]))


def test_a_field_that_an_evaluation_file_lacks_is_named_with_its_key(tmp_path, jsonl):
    evaluation = tmp_path / "eval.jsonl"
    evaluation.write_text('{"question": "where"}\n')
    fields = {"vocab_size": 300, "sequence_length": 16, "cache_dir": str(tmp_path / "cache")}
    source = Files(corpora={"a": jsonl()}, decontaminate=[f"{evaluation}:questoin"], **fields)
    with pytest.raises(UserError, match=r'data\.decontaminate: line 1 of .*eval\.jsonl has no "questoin"') as caught:
        prepare(source)
    assert "give data.decontaminate=[" in str(caught.value)
    assert "eval.jsonl:<field>] or mend it. Did you mean question?" in str(caught.value)
    assert "text_key" not in str(caught.value)
