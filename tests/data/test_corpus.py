import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptlab.data.corpus import prepare
from cptlab.data.sources.base import SPLITS, Document, split_of
from cptlab.data.sources.files import Files
from cptlab.data.tokenizer import load_tokenizer, tokenizer_hash, train_bpe, training_sample
from cptlab.data.tokens import token_dtype
from cptlab.errors import UserError


@pytest.fixture(scope="module")
def bpe(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("bpe")
    train_bpe(texts, 300, folder)
    return load_tokenizer(str(folder))


@pytest.fixture
def source(tmp_path, jsonl):
    return Files(corpora={"a": jsonl()}, general="a", vocab_size=300, cache_dir=str(tmp_path / "cache"))


def test_tokens_give_the_documents_back_and_the_manifest_counts_them(source, texts):
    corpora = prepare(source)
    tokenizer = load_tokenizer(corpora.tokenizer_path)
    assert tokenizer.hash == corpora.tokenizer_hash
    for split, corpus in corpora.corpora["a"].items():
        wanted = [d.text for d in source.documents()["a"]() if split_of(d) == split]
        tokens = corpus.tokens()
        ends = np.flatnonzero(tokens == corpora.eos_id)
        starts = np.concatenate([[0], ends[:-1] + 1])
        got = [tokenizer.decode(tokens[i:j]) for i, j in zip(starts, ends, strict=True)]
        assert got == wanted
        assert (corpus.num_tokens, corpus.num_documents) == (len(tokens), len(wanted))
        assert corpus.num_bytes == sum(len(text.encode()) for text in wanted)
        assert corpora.token_bytes[tokens].sum() == corpus.num_bytes
        assert tokens.dtype == np.uint16


def test_two_builds_are_equal_byte_for_byte(source, tmp_path):
    first = prepare(source)
    source.cache_dir = str(tmp_path / "other")
    second = prepare(source)
    assert first.tokenizer_hash == second.tokenizer_hash
    for split in SPLITS:
        one, two = first.corpora["a"][split], second.corpora["a"][split]
        assert one.content_hash == two.content_hash
        assert Path(one.path).read_bytes() == Path(two.path).read_bytes()


def test_a_second_call_and_the_same_tokenizer_by_path_reopen_the_same_folder(source, capsys):
    first = prepare(source)
    assert "(once)" in capsys.readouterr().err
    assert prepare(source, verify=True).path == first.path
    assert prepare(source, first.tokenizer_path).path == first.path
    source.tokenizer = first.tokenizer_path
    assert prepare(source).path == first.path
    assert capsys.readouterr().err == ""


def test_a_folder_without_a_manifest_counts_as_absent(source):
    first = prepare(source)
    Path(first.path, "manifest.json").unlink()
    assert prepare(source, verify=True).corpora == first.corpora


def test_a_token_file_that_changed_is_refused(source):
    corpus = prepare(source).corpora["a"]["fit"]
    path = Path(corpus.path)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(UserError, match="another content hash"):
        prepare(source, verify=True)
    path.write_bytes(data[:-2])
    with pytest.raises(UserError, match=r"a\.fit\.bin is not the file that was built"):
        prepare(source)


def test_a_split_shorter_than_one_row_is_refused_with_its_size(source, jsonl, texts):
    source.sequence_length = 100_000
    with pytest.raises(UserError, match=r"corpus a: its train split has \d+ tokens in \d+ .* = 100001"):
        prepare(source)
    source.corpora = {"a": jsonl("few.jsonl", texts[:2])}
    source.sequence_length = 16
    with pytest.raises(UserError, match=r"its valid split has 0 tokens in 0 documents"):
        prepare(source)


def test_the_builder_leaves_nothing_behind_when_a_file_is_bad(source, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n{}\n')
    source.corpora["b"] = str(tmp_path / "bad.jsonl")
    with pytest.raises(UserError, match="line 2"):
        prepare(source)
    left = [p.name for p in Path(source.cache_dir).iterdir() if p.name not in {".locks", ".hashes", "tokenizers"}]
    assert left == []


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_the_tokenizer_and_its_bytes_are_counted(bpe, text):
    ids = next(bpe.encode([text]))
    assert bpe.decode(ids) == text
    assert bpe.token_bytes()[ids].sum() == len(text.encode())


def test_text_that_looks_like_the_end_of_text_stays_text(bpe):
    text = "before <|endoftext|> after"
    ids = next(bpe.encode([text]))
    assert bpe.eos_id not in ids
    assert bpe.decode(ids) == text


@given(st.lists(st.text(max_size=20), max_size=50), st.integers(1, 200))
def test_the_training_sample_is_bounded_and_keeps_the_order(texts, limit):
    documents = [Document(f"{number}", text) for number, text in enumerate(texts)]
    sample = training_sample(documents, limit)
    assert len(sample) <= 1 or sum(map(len, sample)) <= limit
    rest = iter(texts)
    assert all(text in rest for text in sample)  # a subsequence
    if sum(map(len, texts)) <= limit:
        assert sample == texts


def test_a_trained_tokenizer_loads_in_transformers(source):
    from transformers import AutoTokenizer

    corpora = prepare(source)
    loaded = AutoTokenizer.from_pretrained(corpora.tokenizer_path)
    assert len(loaded) == corpora.vocab_size == 300
    assert loaded.eos_token_id == corpora.eos_id
    assert loaded("the sea, café")["input_ids"] == next(
        load_tokenizer(corpora.tokenizer_path).encode(["the sea, café"])
    )


def test_the_tokenizer_hash_ignores_layout_and_the_settings_of_a_call():
    one = json.dumps({"model": {"a": 1, "b": 2}, "truncation": None})
    two = json.dumps({"padding": {"length": 3}, "model": {"b": 2, "a": 1}}, indent=4)
    assert tokenizer_hash(one) == tokenizer_hash(two)
    assert tokenizer_hash(one) != tokenizer_hash(one.replace("2", "3"))


def test_a_tokenizer_without_an_end_of_text_is_refused(source, tmp_path):
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE({"a": 0}, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match=r"names no end-of-text token \(eos_token\)"):
        prepare(source, str(tmp_path))


def test_a_tokenizer_that_is_not_there_is_answered_with_the_closest(source, tmp_path):
    corpora = prepare(source)
    shutil.copytree(corpora.tokenizer_path, tmp_path / "mytokenizer")
    source.tokenizer = str(tmp_path / "mytokeniser")
    with pytest.raises(UserError, match=r"Did you mean mytokenizer\?"):
        prepare(source)


def test_byte_fallback_tokens_count_one_byte():
    from cptlab.data.tokenizer import byte_counter

    size = byte_counter({"model": {"type": "BPE", "byte_fallback": True}, "decoder": {"type": "Sequence"}})
    assert [size(token) for token in ("<0x0A>", "\u2581the", "é", "<0xZ>")] == [1, 4, 2, 5]


def test_wide_vocabularies_take_four_bytes():
    assert [token_dtype(n) for n in (1024, 65536, 65537)] == ["uint16", "uint16", "uint32"]


def test_a_cache_folder_that_cannot_be_made_is_named_by_its_key(source, tmp_path):
    (tmp_path / "file").write_text("")
    for path in ("/proc/corpora", str(tmp_path / "file"), str(tmp_path / "file" / "below")):
        source.cache_dir = path
        with pytest.raises(UserError, match=rf"data\.cache_dir is {path}, which cannot be made \("):
            prepare(source)
