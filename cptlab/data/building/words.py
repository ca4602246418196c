"""Byte-level BPE in one thread, each different word encoded once: the ids of the tokenizer, two to three times as fast.

Such a tokenizer cuts text into words by a pattern and encodes each word for itself, so that the ids of a text are
those of its words. What is not certain to be cut alike by the `regex` library (a normaliser that changes the text,
added tokens, characters whose class differs between Unicode versions) is left to the tokenizer.
"""

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import regex

from cptlab.data.tokenizer import Tokenizer, batched

Encoder = Callable[[Iterable[str]], Iterator[list[int]]]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Characters whose class has stood since Unicode 8, and no control character but tab and line ends.
UNSURE = regex.compile(
    r"[^\t\n\r -~\u00a1-\u0377\u0384-\u038a\u03a3-\u052f\u2010-\u2027\u2030-\u205e\u20a0-\u20b9\u2190-\u22ff"
    r"\u3001-\u3029\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uff01-\uff5e]"
)
BATCH_CHARS = 500_000  # [character] encoded at once
KNOWN = 400_000  # words that are remembered
LONGEST = 64  # [character] a longer word is not remembered


def word_encoder(tokenizer: Tokenizer) -> Encoder:
    """An `encode` with the ids of `tokenizer.encode`; that one itself where a word's ids depend on its surroundings."""
    spec = json.loads(tokenizer.backend.to_str())
    pattern = word_pattern(spec)
    if pattern is None:
        return tokenizer.encode
    from tokenizers import Tokenizer as Backend
    from tokenizers import pre_tokenizers

    alone = Backend.from_str(tokenizer.backend.to_str())
    alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)  # type: ignore[assignment]
    alone.encode_special_tokens = True
    alone.no_truncation()
    alone.no_padding()
    added = [token["content"] for token in spec.get("added_tokens") or [] if not token["special"]]
    normal = spec.get("normalizer") is None
    known: dict[str, list[int]] = {}

    def words_of(text: str) -> list[str] | None:
        """None where the tokenizer itself has to look."""
        if UNSURE.search(text) or any(token in text for token in added):
            return None
        if not normal and not unicodedata.is_normalized("NFC", text):
            return None
        words = pattern.findall(text)
        return words if sum(map(len, words)) == len(text) else None

    def encode(texts: Iterable[str]) -> Iterator[list[int]]:
        for batch in batched(texts, BATCH_CHARS):
            cut = [words_of(text) for text in batch]
            if len(known) > KNOWN:
                known.clear()
            new = list({word for words in cut for word in words or ()} - known.keys())
            for word, encoding in zip(new, alone.encode_batch_fast(new, add_special_tokens=False), strict=True):
                known[word] = encoding.ids
            unsure = tokenizer.encode(text for text, words in zip(batch, cut, strict=True) if words is None)
            for words in cut:
                yield next(unsure) if words is None else list(chain.from_iterable(map(known.__getitem__, words)))
            for word in new:
                if len(word) > LONGEST:
                    del known[word]

    return encode


def word_pattern(spec: dict) -> regex.Pattern | None:
    """The pattern that a byte-level BPE cuts words by; None for any other tokenizer. spec: its tokenizer.json."""
    model, normalizer, outer = spec.get("model") or {}, spec.get("normalizer"), spec.get("pre_tokenizer") or {}
    if model.get("type") != "BPE" or model.get("dropout") or (normalizer and normalizer.get("type") != "NFC"):
        return None
    steps = outer.get("pretokenizers", []) if outer.get("type") == "Sequence" else [outer]
    last = steps[-1] if steps else {}
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space"):
        return None
    if len(steps) == 1 and last.get("use_regex", True):
        return regex.compile(GPT2)
    first = steps[0]
    found = (first.get("pattern") or {}).get("Regex")
    plain = first.get("type") == "Split" and first.get("behavior") == "Isolated" and not first.get("invert")
    if len(steps) != 2 or not plain or not found or last.get("use_regex", True):
        return None
    # findall gives groups where there are any: only groups that are not kept can be used.
    compiled = regex.compile(found)
    return compiled if not compiled.groups else None
