import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.data.building.words import UNSURE, word_encoder, word_pattern
from cptlab.data.tokenizer import load_tokenizer, train_bpe

LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT = {"type": "Split", "pattern": {"Regex": LLAMA3}, "behavior": "Isolated", "invert": False}
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
FORMS = {
    "gpt2": {},
    "llama3": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, LEVEL]}},
    "qwen": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, LEVEL]}, "normalizer": {"type": "NFC"}},
}


@pytest.fixture(scope="module", params=FORMS)
def tokenizer(request, tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp(request.param)
    train_bpe([*texts, "don't we'll é 汉字 12345 \n\n\t" * 50], 500, folder)
    file = folder / "tokenizer.json"
    spec = json.loads(file.read_text()) | FORMS[request.param]
    spec["added_tokens"].append(dict(spec["added_tokens"][0], id=500, content="<tool>", special=False))
    file.write_text(json.dumps(spec))
    return load_tokenizer(str(folder))


PIECES = ["a", "don't", "WE'LL", " ", "  ", "\n", "\r\n", "\t", "12", "3456", "...", "é", "e\u0301", "汉字", "ſ", "٣", "\u00a0",
          "\u2028", "\x1c", "\x85", "<tool>", "<|endoftext|>", "😀", "'", "x" * 99, "\u1c89", "ا"]  # fmt: skip


@given(parts=st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=40))
def test_the_ids_are_the_tokenizers_for_any_text(tokenizer, parts):
    text = "".join(parts)
    assert list(word_encoder(tokenizer)([text, "plain"])) == list(tokenizer.encode([text, "plain"]))


def test_every_character_that_counts_as_sure_is_cut_as_the_tokenizer_cuts_it(tokenizer):
    sure = [chr(c) for c in range(sys.maxunicode) if not 0xD800 <= c < 0xE000 and not UNSURE.search(chr(c))]
    assert 22_000 < len(sure) < 30_000
    texts = [f"{c}{c}a{c}1{c}.{c} {c}\n{c}' {c}s  {c}" for c in sure]
    assert list(word_encoder(tokenizer)(texts)) == list(tokenizer.encode(texts))


def test_the_words_are_really_used(tokenizer, monkeypatch):
    encode = word_encoder(tokenizer)
    monkeypatch.setattr(type(tokenizer), "encode", lambda self, texts: iter([[-1] for _ in texts]))
    assert next(encode(["plain text"])) != [-1]
    assert list(encode(["plain", "a \U0001f600", "text"]))[1] == [-1]
    assert next(encode(["a <tool>"])) == [-1]


def test_other_tokenizers_are_left_alone():
    level = LEVEL | {"use_regex": True}
    good = {"model": {"type": "BPE"}, "pre_tokenizer": level}
    assert word_pattern(good) is not None
    for change in (
        {"model": {"type": "Unigram"}},
        {"model": {"type": "BPE", "dropout": 0.1}},
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": level | {"add_prefix_space": True}},
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT | {"behavior": "Removed"}, LEVEL]}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT | {"pattern": {"Regex": "(a)|b"}}, LEVEL]}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, {"type": "Digits"}, LEVEL]}},
    ):
        assert word_pattern(good | change) is None, change
