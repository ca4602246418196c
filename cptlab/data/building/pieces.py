"""Pieces: what is encoded at once. A document longer than `LONG` is cut where its tokens stay the same.

An encoder holds some hundred bytes a token, so a document of 500 MB in one piece would need tens of GB.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

LONG = 2_000_000  # [character] a longer document is cut
REACH = 20_000  # [character] a cut lies at most so far before the longest piece's end
WINDOW = 1_000  # [character] text on either side of a cut whose tokens are compared
TRIES = 24  # places that are tried for one cut

Encode = Callable[[list[str]], list[list[int]]]


class Piece(NamedTuple):
    """A document, or part of a long one."""

    text: str
    split: int  # index into SPLITS
    ends: bool = True  # whether the document ends with it
    document: int = -1  # 64-bit hash of the whole document, on the last piece of a cut one
    checked: bool = False  # whether the document was looked at whole before it was cut


def cut(text: str, encode: Encode, long: int = LONG) -> Iterator[str]:
    """Pieces of a text that encode to the tokens of the whole, as far as a window around each cut can tell.

    Where no place passes (a tokenizer that sees the text as one word), the rest stays one piece.
    """
    start = 0
    while len(text) - start > long:
        end = start + long
        place = next((p for p in islice(places(text, end, long), TRIES) if same_tokens(text, p, encode)), None)
        if place is None:
            break
        yield text[start:place]
        start = place
    yield text[start:]


def places(text: str, end: int, long: int) -> Iterator[int]:
    """Where a cut may lie: first before white space that follows a word, then anywhere, from the end backwards."""
    reach = min(REACH, long // 2)
    found = 0
    for place in range(end, end - reach, -1):
        if text[place].isspace() and text[place - 1].isalnum():
            found += 1
            yield place
        if found >= TRIES // 2:
            break
    yield from range(end, end - reach, -max(reach // TRIES, 1))


def same_tokens(text: str, place: int, encode: Encode) -> bool:
    """Whether the text around a place gives the same tokens in one piece and in two."""
    before, after = text[max(place - WINDOW, 0) : place], text[place : place + WINDOW]
    whole, left, right = encode([before + after, before, after])
    return whole == left + right
