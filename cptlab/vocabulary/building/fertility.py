"""Fertility: how many tokens a tokenizer spends on a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cptlab.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Fertility:
    """Tokens over words (runs without white space) and over UTF-8 bytes, end-of-text tokens not counted.

    Per word is the usual figure (Ács 2019; Rust et al. 2021, arXiv 2012.15613) and says nothing of a script without
    spaces; per byte does.
    """

    tokens: int
    words: int
    bytes: int

    @property
    def per_word(self) -> float:
        """[token/word]"""
        return self.tokens / max(self.words, 1)

    @property
    def per_byte(self) -> float:
        """[token/byte]"""
        return self.tokens / max(self.bytes, 1)


def fertility(tokenizer: Tokenizer, texts: list[str]) -> Fertility:
    """Of a tokenizer on texts."""
    return Fertility(
        sum(map(len, tokenizer.encode(texts))),
        sum(len(text.split()) for text in texts),
        sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),
    )


def compared(old: Tokenizer, new: Tokenizer, measured: Mapping[str, list[str]]) -> dict[str, dict[str, dict]]:
    """{corpus: {before | after: tokens, words, bytes, per_word, per_byte}}."""
    found: dict[str, dict[str, dict]] = {}
    for corpus, texts in measured.items():
        found[corpus] = {}
        for when, tokenizer in (("before", old), ("after", new)):
            value = fertility(tokenizer, texts)
            found[corpus][when] = asdict(value) | {"per_word": value.per_word, "per_byte": value.per_byte}
    return found


def lines(facts: Mapping[str, Any]) -> list[str]:
    """What adapted_vocabulary.json says, for the terminal."""
    tokens, rows = facts["tokens"], facts["rows"]
    done = ", ".join(f"{count:,} {what}" for what, count in tokens.items() if what in ("kept", "added", "dropped"))
    found = [
        f"vocab={facts['variant']}: {tokens['before']:,} -> {tokens['after']:,} tokens{f' ({done})' if done else ''},"
        f" {rows['before']:,} -> {rows['after']:,} rows"
    ]
    for corpus, values in facts["fertility"].items():
        before, after = values["before"], values["after"]
        text = "held-out" if facts["held_out"][corpus] else "training"
        found.append(
            f"{corpus}: {before['per_word']:.3f} -> {after['per_word']:.3f} tokens a word,"
            f" {before['per_byte']:.4f} -> {after['per_byte']:.4f} a byte ({before['bytes']:,} bytes of {text} text)"
        )
    return found
