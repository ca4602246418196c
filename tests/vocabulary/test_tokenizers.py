"""Merges learnt on top of others, tokens taken away, and the bytes that tokens stand for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers
from tokenizers import Tokenizer as Backend

from cptlab.data.tokenizer import END_OF_TEXT, Tokenizer, load_tokenizer, train_bpe
from cptlab.errors import UserError
from cptlab.vocabulary.building.continued_bpe import cut_words, learn, missing_characters, refuse_other_models
from cptlab.vocabulary.building.edit import check_ids, needed, with_only, with_special, with_tokens
from cptlab.vocabulary.building.fertility import fertility
from cptlab.vocabulary.building.surface import cutter, surfaces, token_surface
from cptlab.vocabulary.building.write import reloaded

PROSE = ["the river runs past the old mill", "nobody grinds corn now", "the mill and the river"] * 30


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bpe")
    train_bpe(PROSE, 300, folder)
    return load_tokenizer(str(folder))


def spec_of(tokenizer):
    return json.loads(tokenizer.backend.to_str())


def by_hand(vocab, merges, **model):
    """A BPE whose merges are written down."""
    backend = Backend(models.BPE(vocab={t: i for i, t in enumerate(vocab)}, merges=merges, **model))
    backend.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    return reloaded(json.loads(backend.to_str()), END_OF_TEXT)


def sentencepiece_like():
    """Like Llama 2: spaces are ▁, what is no known character falls back to bytes."""
    letters = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁abc", "▁a"]
    backend = Backend(models.BPE(vocab={t: i for i, t in enumerate(letters)}, merges=[("▁", "a")], unk_token="<unk>",
                                 byte_fallback=True, fuse_unk=True))  # fmt: skip
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(END_OF_TEXT, special=True)])
    return reloaded(json.loads(backend.to_str()), END_OF_TEXT)


def test_merges_are_learnt_over_the_tokens_that_are_there():
    old = by_hand(["a", "b", "c", "ab"], [("a", "b")])
    # The text is [ab][c]: the only pair is (ab, c), never (b, c), which a tokenizer trained apart would merge.
    learnt = learn(old, ["abc"] * 5, 3, 2)
    assert learnt.merges == [("ab", "c")]
    assert learnt.tokens == ["abc"]


def test_the_most_frequent_pair_is_merged_first_and_no_more_than_asked_for():
    old = by_hand(["a", "b", "c"], [])
    learnt = learn(old, ["ab"] * 9 + ["bc"] * 5, 1, 2)
    assert learnt.merges == [("a", "b")]


def test_a_pair_that_is_too_rare_is_not_merged():
    old = by_hand(["a", "b"], [])
    assert learn(old, ["ab"] * 3, 5, 4).tokens == []


def test_two_ways_to_one_token_are_two_merges_and_one_token():
    old = by_hand(["a", "b", "c", "d", "ab", "bc"], [("a", "b"), ("b", "c")])
    # abc is [ab][c] and, behind d, where d goes first, [bc] with a apart never comes: give both cuts by hand.
    spec = with_tokens(spec_of(old), old.vocab_size, ["abc"], [("ab", "c"), ("a", "bc")])
    new = reloaded(spec, END_OF_TEXT)
    assert next(new.encode(["abc"])) == [new.backend.token_to_id("abc")]


def test_every_learnt_token_is_reached_by_the_text_it_was_learnt_on(english):
    russian = ["кот видит кота и кошку"] * 40
    first = english.vocab_size
    learnt = learn(english, russian, 40, 2)
    new = reloaded(with_tokens(spec_of(english), first, learnt.tokens, learnt.merges), END_OF_TEXT)
    check_ids(english, new, {i: i for i in range(first)})
    assert fertility(new, russian).per_word < fertility(english, russian).per_word / 3
    assert new.decode(next(new.encode(russian[:1]))) == russian[0]
    merged = {left + right for left, right in learnt.merges}
    assert set(learnt.tokens) <= merged


@pytest.fixture(scope="module")
def extended(english):
    learnt = learn(english, ["кот и кошка"] * 5, 10, 2)
    assert len(learnt.tokens) == 10
    return reloaded(with_tokens(spec_of(english), english.vocab_size, learnt.tokens, learnt.merges), END_OF_TEXT)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives_the_extended_tokenizer(extended, text):
    assert extended.decode(next(extended.encode([text]))) == text


def test_nothing_is_merged_across_words_or_fallback_bytes_of_a_sentencepiece_tokenizer():
    old = sentencepiece_like()
    names = {i: t for t, i in old.backend.get_vocab().items()}
    words = next(cut_words(old, ["ab я c"]))
    assert [[names[i] for i in word] for word in words] == [["▁a", "b"], ["▁"], ["▁", "c"]]


def test_frequent_characters_without_a_token_come_first_the_rare_ones_stay_bytes():
    old = sentencepiece_like()
    text = ["жя жя жя ж\n\n"]
    assert missing_characters(old, text, 5, 3) == ["ж", "я"]
    assert missing_characters(old, text, 1, 3) == ["ж"]
    assert missing_characters(old, text, 5, 4) == ["ж"]


def test_an_added_special_token_keeps_its_id_though_the_model_grows():
    old = by_hand(["a", "b"], [])
    assert old.eos_id == 2
    new = reloaded(with_tokens(spec_of(old), 3, ["ab"], [("a", "b")]), END_OF_TEXT)
    assert (new.eos_id, new.backend.token_to_id("ab")) == (2, 3)
    more = reloaded(with_special(spec_of(new), 4, ["<|chat|>"]), END_OF_TEXT)
    assert more.backend.token_to_id("<|chat|>") == 4
    assert 4 in more.backend.get_added_tokens_decoder()


@given(st.lists(st.sampled_from([*PROSE[:3], "a miller", "grinds", "ää"]), min_size=1, max_size=4))
def test_pruned_text_is_cut_as_before(english, texts):
    used = {i for ids in english.encode(texts) for i in ids}
    kept = needed(spec_of(english), used)
    spec, ids = with_only(spec_of(english), kept)
    new = reloaded(spec, END_OF_TEXT)
    check_ids(english, new, ids)
    for before, after in zip(english.encode(texts), new.encode(texts), strict=True):
        assert [ids[i] for i in before] == after


def test_pruning_keeps_what_merges_are_made_of_and_every_single_byte(english):
    word = english.backend.token_to_id("Ġriver")
    assert word is not None
    kept = needed(spec_of(english), [word])
    names = {i: t for t, i in english.backend.get_vocab().items()}
    assert "Ġthe" not in {names[i] for i in kept}
    assert len([i for i in kept if len(names[i]) == 1]) == 256
    assert english.eos_id in kept


def test_the_ids_of_a_post_processor_follow_their_tokens():
    from cptlab.vocabulary.building.edit import renumbered

    node = {"type": "TemplateProcessing", "special_tokens": {"<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]}}}
    assert renumbered(node, {"<s>": 3})["special_tokens"]["<s>"]["ids"] == [3]
    assert renumbered({"cls": ["<s>", 7]}, {"<s>": 3}) == {"cls": ["<s>", 3]}


@pytest.mark.parametrize(
    ("token", "level", "bytes_"),
    [("Ġthe", True, b" the"), ("▁the", False, b" the"), ("<0x0A>", False, b"\n"), ("Ð¶", True, "ж".encode())],
)
def test_a_token_stands_for_bytes_in_every_alphabet(token, level, bytes_):
    assert token_surface(token, level) == bytes_


def test_a_tokens_bytes_are_cut_without_a_space_before_them(english):
    old = sentencepiece_like()
    names = {i: t for t, i in old.backend.get_vocab().items()}
    assert [names[i] for i in cutter(old)(b"ab")] == ["a", "b"]
    assert [names[i] for i in cutter(old)(b" ab")] == ["▁a", "b"]
    assert [names[i] for i in cutter(old)(b"\xff")] == ["<0xFF>"]
    assert [english.backend.id_to_token(i) for i in cutter(english)(b" river")] == ["Ġriver"]
    assert surfaces(english)[english.eos_id] == END_OF_TEXT.encode()


def test_fertility_counts_tokens_words_and_bytes():
    tokenizer = by_hand(["a", "b", " "], [])
    found = fertility(tokenizer, ["ab a", "b"])
    assert (found.tokens, found.words, found.bytes) == (5, 3, 5)
    assert found.per_word == pytest.approx(5 / 3)
    assert found.per_byte == 1


def test_a_tokenizer_of_another_kind_is_refused():
    backend = Backend(models.Unigram([("a", -1.0), ("b", -2.0)]))
    with pytest.raises(UserError, match="byte-pair merges and the base's is Unigram"):
        refuse_other_models(json.loads(backend.to_str()), "vocab=extend", "use vocab=replace")


def test_ids_that_moved_are_found(english):
    wrong = Tokenizer(by_hand(["a", "b"], []).backend, 0, 2, "")
    with pytest.raises(UserError, match="cannot be changed"):
        check_ids(english, wrong, {5: 5})


def test_a_sentencepiece_tokenizer_gets_characters_and_merges_and_still_decodes():
    old = sentencepiece_like()
    text = ["жя ab жя c", "жя жя\n"] * 5
    characters = missing_characters(old, text, 10, 2)
    spec = with_tokens(spec_of(old), old.vocab_size, characters, [])
    learnt = learn(reloaded(spec, END_OF_TEXT), text, 10, 2)
    first = old.vocab_size + len(characters)
    new = reloaded(with_tokens(spec, first, learnt.tokens, learnt.merges), END_OF_TEXT)
    ids = next(new.encode(["жя ab ф\n"]))
    assert [new.backend.id_to_token(i) for i in ids][:2] == ["▁жя", "▁ab"]
    assert new.decode(ids) == "жя ab ф\n"
    assert "▁ab" in learnt.tokens
