"""Read documents out of files: JSON lines (plain, gzip, zstd), Parquet, plain text.

Everything that can be wrong with a file is answered with the file and the line.
"""

import contextlib
import difflib
import glob
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cptlab.data.sources.base import is_blank
from cptlab.data.sources.plain_text import PLAIN_TEXT, Position, read_parts, read_plain
from cptlab.errors import UserError, closest

JSON_LINES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
KNOWN = (*JSON_LINES, ".parquet", *PLAIN_TEXT)
Scored = tuple[str, float | None]  # a text and its score
PART = 1 << 24  # [character] of a text that is encoded at once


def find_files(key: str, pattern: str, known: tuple[str, ...] = KNOWN) -> list[Path]:
    """The files of a path, a folder (all in it that can be read, sorted) or a glob; never none."""
    path = Path(pattern).expanduser()
    if path.is_file():
        if not path.name.endswith(known):
            raise UserError(f"{key}: the format of {path} is not known; use one of {', '.join(known)}.")
        return [path]
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(known))
        if not found:
            raise UserError(f"{key}: the folder {path} has no file of {', '.join(known)}.")
        return found
    if any(c in pattern for c in "*?["):
        matches = (Path(p) for p in glob.glob(str(path), recursive=True))
        found = sorted(p for p in matches if p.is_file() and p.name.endswith(known))
        if not found:
            raise UserError(f"{key}: no file of {', '.join(known)} matches {pattern}.")
        return found
    raise UserError(f"{key}: there is no {path}.{nearby(path)}")


def nearby(path: Path) -> str:
    """The closest name beside a path that is not there, or the first folder that is missing."""
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        path, parent = parent, parent.parent
    if parent == parent.parent:  # everything at the root of the disk is no help
        return ""
    names = [p.name for p in parent.iterdir() if not p.name.startswith(".")] if parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    return f" Did you mean {near[0]}?" if near else ""


def read_texts(owner: str, path: Path, text_key: str, **how: Any) -> Iterator[str]:
    """The texts of `read_scored`."""
    return (text for text, _ in read_scored(owner, path, text_key, **how))


def read_scored(
    owner: str,
    path: Path,
    text_key: str,
    *,
    separator: str = "",
    errors: str = "strict",
    position: Position | None = None,
    score_key: str = "",
    key: str = "data.text_key",
) -> Iterator[Scored]:
    """The texts of one file, "" for one without a letter, each with its score.

    separator: ends a document of plain text; "" = the file is one. errors: strict or replace, for bytes that
    are not UTF-8. score_key: the field or column of the score; "" = none is read. owner: who reads, for errors:
    "corpus a", or a key. key: where `text_key` was given.
    """
    name = path.name
    empty = True
    position = position or Position()
    if name.endswith(PLAIN_TEXT):
        if score_key:
            raise UserError(f"selection.score={score_key}: {owner} has plain text without scores ({path}).")
        plain = (
            read_plain(owner, path, errors) if not separator else read_parts(owner, path, separator, errors, position)
        )
        entries = ((text, None) for text in plain)
    elif name.endswith(".parquet"):
        entries = read_parquet(owner, path, text_key, score_key, key)
    else:
        entries = read_json_lines(owner, path, text_key, errors, position, score_key, key)
    for text, score in entries:
        if is_blank(text):
            yield "", score
        else:
            empty = False
            yield text, score
    position.done += path.stat().st_size
    position.current = None
    if empty:
        raise UserError(f"{owner}: {path} is empty; remove it or give it text.")


def read_json_lines(
    owner: str, path: Path, text_key: str, errors: str, position: Position, score_key: str, key: str
) -> Iterator[Scored]:
    """One document a line: an object with the field `text_key`."""
    number = place = 0

    def where() -> str:
        return f"{owner}: line {number} of {path}"

    try:
        with open_bytes(path, position) as lines:
            for number, line in enumerate(lines, 1):  # noqa: B007 (`where` reads it)
                place += len(line)
                if not line.strip():
                    continue
                try:
                    entry = json.loads(line.decode("utf-8", errors).removeprefix("\ufeff"))
                except UnicodeDecodeError as error:
                    raise UserError(
                        f"{where()} is not UTF-8 (byte {error.start} of the line), byte"
                        f" {place - len(line) + error.start} of the text; convert it, or give data.errors=replace to"
                        " read U+FFFD there."
                    ) from error
                except (ValueError, RecursionError) as error:
                    raise UserError(f"{where()} is no JSON ({error}); mend the line.") from error
                if not isinstance(entry, dict):
                    raise UserError(f"{where()} is a JSON {type(entry).__name__}, no object; mend the line.")
                yield checked(entry, text_key, where(), key), checked_score(entry, score_key, where())
    except (OSError, EOFError) as error:
        raise UserError(f"{owner}: {path} cannot be read after line {number} ({error}).") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise UserError(f"{owner}: {path} cannot be read after line {number} ({error}).") from error


def read_parquet(owner: str, path: Path, text_key: str, score_key: str, key: str) -> Iterator[Scored]:
    """One document a row: the column `text_key`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{owner}: {path} is no readable Parquet file ({one_line(error)}).") from error
    with file:
        names = file.schema_arrow.names
        if text_key not in names:
            raise UserError(f'{owner}: {path} has no column "{text_key}"; set {key}.{closest(text_key, names)}')
        if score_key and score_key not in names:
            raise UserError(
                f'{owner}: {path} has no column "{score_key}"; set selection.score.{closest(score_key, names)}'
            )
        number = 0
        batches = file.iter_batches(batch_size=1024, columns=[text_key, *filter(None, [score_key])])
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{owner}: {path} cannot be read after row {number} ({one_line(error)}).") from error
            if batch is None:
                return
            for entry in batch.to_pylist():
                number += 1
                where = f"{owner}: row {number} of {path}"
                yield checked(entry, text_key, where, key), checked_score(entry, score_key, where)


def one_line(error: Exception) -> str:
    """What a library's exception says, without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def checked(entry: dict, text_key: str, where: str, key: str = "data.text_key") -> str:
    """The text of one entry, or the sentence that says why there is none."""
    if text_key not in entry:
        raise UserError(f'{where} has no "{text_key}"; give {key} or mend it.{closest(text_key, entry)}')
    text = entry[text_key]
    if not isinstance(text, str):
        raise UserError(
            f'{where}: its "{text_key}" is {"null" if text is None else f"a {type(text).__name__}"}, no text; mend it.'
        )
    try:
        for start in range(0, len(text), PART):
            text[start : start + PART].encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(f'{where}: its "{text_key}" is no valid Unicode (half a surrogate); mend it.') from error
    return text


def checked_score(entry: dict, score_key: str, where: str) -> float | None:
    """The score of one entry, None for null or where none is asked for, or the sentence that says what is wrong."""
    if not score_key:
        return None
    if score_key not in entry:
        raise UserError(f'{where} has no "{score_key}"; set selection.score or mend it.{closest(score_key, entry)}')
    score = entry[score_key]
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise UserError(f'{where}: its "{score_key}" is a {type(score).__name__}, no number; mend it.')
    return None if score is None else float(score)


@contextlib.contextmanager
def open_bytes(path: Path, position: Position | None = None) -> Iterator[io.BufferedIOBase]:
    """The bytes of a file, decompressed by its ending."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        if position is not None:
            position.current = file
        if path.name.endswith(".gz"):
            yield stack.enter_context(gzip.GzipFile(fileobj=file))
        elif path.name.endswith(".zst"):
            import zstandard

            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            yield stack.enter_context(io.BufferedReader(reader))  # type: ignore[arg-type]
        else:
            yield file
