"""Plain text: a file as one document or cut at a separator, and how far a reading has come."""

import codecs
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cptlab.errors import UserError

PLAIN_TEXT = (".txt", ".md")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
BLOCK = 1 << 20  # [byte] read at once of plain text that is cut into documents


@dataclass
class Position:
    """How far a reading has come: bytes of whole files, and the file that is open."""

    total: int = 0
    done: int = 0
    current: BinaryIO | None = None
    cuts: int = 0  # separators found

    def share(self) -> float | None:
        """Bytes read over all bytes; None where there are none to count."""
        if not self.total:
            return None
        here = self.current.tell() if self.current is not None and not self.current.closed else 0
        return min((self.done + here) / self.total, 1.0)


def is_plain(path: Path) -> bool:
    """Whether a file holds plain text."""
    return path.name.endswith(PLAIN_TEXT)


def read_plain(owner: str, path: Path, errors: str) -> Iterator[str]:
    """One document a file. Memory: the text once, the bytes stay on the disk."""
    if path.stat().st_size == 0:
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            text = str(data, "utf-8", errors)
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise UserError(not_utf8(owner, path, error.start, f"line {line}")) from None
    yield text


def read_parts(owner: str, path: Path, separator: str, errors: str, position: Position) -> Iterator[str]:
    """The parts of a plain text between separators, read in blocks: memory is bounded by the longest part."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    rest: list[str] = []  # blocks of the part that has not ended yet
    tail = ""  # the end of these, where a separator may have begun
    start = 0
    with open(path, "rb") as file:
        position.current = file
        while block := file.read(BLOCK):
            try:
                text = tail + decoder.decode(block)
            except UnicodeDecodeError as error:
                pending = len(error.object) - len(block)  # bytes of a character that the block before began
                raise UserError(not_utf8(owner, path, start - pending + error.start)) from None
            start += len(block)
            *whole, last = text.split(separator)
            position.cuts += len(whole)
            for part in whole:
                yield "".join([*rest, part])
                rest = []
            keep = len(separator) - 1
            tail = last[max(len(last) - keep, 0) :] if keep else ""
            rest.append(last[: len(last) - len(tail)])
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise UserError(not_utf8(owner, path, start - len(error.object))) from None
    yield "".join([*rest, tail])


def not_utf8(owner: str, path: Path, place: int, where: str = "") -> str:
    """The sentence for a byte that is no UTF-8."""
    inside = f" ({where})" if where else ""
    return (
        f"{owner}: {path} is not UTF-8 at byte {place}{inside}; convert it, or give data.errors=replace "
        "to read U+FFFD there."
    )


def unescaped(text: str) -> str:
    r"""The characters that \n, \t, \r and \\ stand for: the command line and YAML hand them on as they are typed."""
    return re.sub(r"\\([ntr\\])", lambda found: ESCAPES[found[1]], text)
