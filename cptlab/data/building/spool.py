"""Documents as files, for builds whose tasks run elsewhere: text shards in document order, and a plan of them.

`<building>/text/<stage>/<rank>.jsonl.zst` holds the documents of one task; `plan.json` says which ranks make
up which corpus. Every stage writes the same ranks again, fewer documents in them.
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from cptlab.data.sources.base import DataSource, Document, Documents, is_blank
from cptlab.data.sources.reading import open_bytes

SPOOL_CHARS = 16_000_000  # [character] text of a task, about


def spool(
    source: DataSource, documents: Documents, building: Path, facts: dict, chars: int = SPOOL_CHARS
) -> dict[str, Any]:
    """Write the text of every corpus and the plan, or read the plan of an earlier build. Returns the plan.

    source: of the documents, for what it leaves out. facts: what the tasks need beside the text. Documents without
    text are left out and counted.
    """
    path = building / "plan.json"
    if path.is_file():
        return json.loads(path.read_text())
    folder = building / "text" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    rank = 0
    ranks: dict[str, list[int]] = {}
    left_out: dict[str, dict[str, int]] = {}
    for name, read in documents.items():
        first, causes = rank, Counter()
        for batch in batches(read(), chars, causes):
            write_text(folder, rank, batch)
            rank += 1
        ranks[name], left_out[name] = [first, rank], dict(causes + Counter(source.left_out(name)))
    plan = facts | {"ranks": ranks, "left_out": left_out, "tasks": rank}
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(plan))
    temporary.replace(path)
    return plan


def batches(documents: Iterable[Document], chars: int, left_out: Counter) -> Iterator[list[Document]]:
    """Lists of documents of about `chars` characters together."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        if is_blank(document.text):
            left_out["empty"] += 1
            continue
        batch.append(document)
        size += len(document.text)
        if size >= chars:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def write_text(folder: Path, rank: int, documents: Iterable[Document]) -> None:
    """The documents of one rank, whole or not at all."""
    path = folder / f"{rank:06d}.jsonl.zst"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file, zstandard.ZstdCompressor(3).stream_writer(file) as writer:
            for document in documents:
                writer.write(json.dumps(document).encode() + b"\n")
        temporary.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def read_text(folder: Path, rank: int) -> Iterator[Document]:
    """The documents of one rank."""
    with open_bytes(folder / f"{rank:06d}.jsonl.zst") as lines:
        for line in lines:
            yield Document(*json.loads(line))
