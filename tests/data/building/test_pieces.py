import random

import pytest

from cptlab.data.building.pieces import cut
from cptlab.data.tokenizer import load_tokenizer, train_bpe


@pytest.fixture(scope="module")
def encode(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("bpe")
    train_bpe(texts, 400, folder)
    tokenizer = load_tokenizer(str(folder))
    return lambda some: list(tokenizer.encode(some))


def prose(texts) -> str:
    return "\n\n".join(texts)[:60_000]


def spaces(_) -> str:
    rng = random.Random(1)
    return "".join(rng.choice(["a", " ", "  ", "\n", "don't", "99", "...", "é"]) for _ in range(40_000))


def one_word(_) -> str:
    return "x" * 30_000


def han(_) -> str:
    return "".join(chr(0x4E00 + i * 37 % 5000) for i in range(20_000))


@pytest.mark.parametrize("make", [prose, spaces, one_word, han])
def test_the_pieces_of_a_long_document_give_the_tokens_of_the_whole(encode, texts, make):
    text = make(texts)
    pieces = list(cut(text, encode, long=5_000))
    assert "".join(pieces) == text
    assert [token for ids in encode(pieces) for token in ids] == encode([text])[0]
    if make is not one_word:
        assert len(pieces) > 3
        assert max(map(len, pieces)) <= 5_000


def test_a_tokenizer_that_sees_no_safe_place_gets_the_text_whole():
    text = "some words " * 3_000
    assert list(cut(text, lambda some: [[len(t)] for t in some], long=5_000)) == [text]


def test_a_short_text_is_one_piece(encode):
    assert list(cut("a b", encode)) == ["a b"]
