"""The steps of a build as datatrove runs them: a task is one rank of the spool (github.com/huggingface/datatrove).

Each step is a function (data, rank, world_size) as datatrove's executors call it.
"""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cptlab.data.building.decontaminate import load_overlap
from cptlab.data.building.shards import shards_of, tokenise
from cptlab.data.building.spool import read_text, write_text
from cptlab.data.building.words import word_encoder
from cptlab.data.sources.base import Document, content_id
from cptlab.data.tokenizer import load_tokenizer
from cptlab.errors import UserError

INSTALL = "pip install 'cptlab[corpora]'"


def quality_filter(name: str, language: str) -> Any:
    """datatrove's filter of a name, at its published thresholds."""
    from datatrove.pipeline import filters

    made = {
        "gopher_quality": lambda: filters.GopherQualityFilter(language=language),
        "gopher_repetition": lambda: filters.GopherRepetitionFilter(language=language),
        "c4_quality": lambda: filters.C4QualityFilter(language=language),
        "c4_paragraph": lambda: filters.C4ParagraphFilter(),
        "fineweb_quality": lambda: filters.FineWebQualityFilter(language=language),
    }
    return made[name]()


def check_filters(names: list[str], language: str) -> None:
    """UserError if what the filters need is not installed or would have to be downloaded."""
    try:
        from datatrove.utils.word_tokenizers import StanzaTokenizer, load_word_tokenizer

        words = [name for name in names if name != "c4_paragraph"]
        tokenizer = load_word_tokenizer(language) if words else None
    except ImportError as error:
        needed = " ".join(str(error).split())
        raise UserError(f"data.filters needs a package that is not installed ({needed}); {INSTALL}") from error
    except ValueError as error:
        raise UserError(f"data.filter_language: {error}") from error
    if isinstance(tokenizer, StanzaTokenizer):
        raise UserError(f"data.filter_language={language} needs a Stanza model to be downloaded; use another language.")


def read_step(data: object, rank: int, world_size: int, *, folder: Path) -> Iterator[Any]:
    """The documents of a rank, as datatrove's."""
    from datatrove.data import Document as Passing

    for document in read_text(folder, rank):
        yield Passing(text=document.text, id=document.id, metadata={"split": document.split})


def write_step(data: Iterable[Any], rank: int, world_size: int, *, folder: Path) -> None:
    """What is left of a rank."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder, rank, (Document(d.id, d.text, d.metadata["split"]) for d in data))


def count_step(data: Iterable[Any], rank: int, world_size: int, *, folder: Path, cause: str) -> Iterator[Any]:
    """Count what comes through, to be taken from what the rank held before."""
    passed = 0
    for document in data:
        passed += 1
        yield document
    write_counts(folder, rank, {cause: sum(1 for _ in read_text(folder, rank)) - passed}, cause)


def filter_step(
    data: Iterable[Any], rank: int, world_size: int, *, names: list[str], language: str, folder: Path
) -> Iterator[Any]:
    """Documents that pass every filter; a filter that edits the text (c4_quality) gives the document its id anew."""
    filters = {name: quality_filter(name, language) for name in names}
    dropped: Counter = Counter()
    for document in data:
        before = document.text
        for name, quality in filters.items():
            kept = quality.filter(document)
            if not (kept[0] if isinstance(kept, tuple) else kept) or not document.text.strip():
                dropped[name] += 1
                break
        else:
            if document.text != before and document.id == content_id(before):
                document.id = content_id(document.text)
            yield document
    write_counts(folder, rank, dropped, "filters")


def write_counts(folder: Path, rank: int, counts: dict[str, int], stage: str) -> None:
    """How many documents a stage took from a rank, and why."""
    (folder / f"{rank:06d}.{stage}.json").write_text(json.dumps(counts))


def read_counts(folder: Path, rank: int) -> Counter:
    """All of these."""
    total: Counter = Counter()
    for path in sorted(folder.glob(f"{rank:06d}.*.json")):
        total.update(json.loads(path.read_text()))
    return total


def tokenise_step(data: object, rank: int, world_size: int, *, building: Path, stage: str) -> None:
    """Tokenise a rank; its token shards are those of the document order."""
    tokenizer = load_tokenizer(str(building / "tokenizer"))
    overlap = load_overlap(building / "overlap.npy")
    encode = word_encoder(tokenizer)
    folder = building / "shards" / f"{rank:06d}"
    folder.mkdir(parents=True, exist_ok=True)
    left_out: Counter = Counter()
    count = 0
    for shard in shards_of(read_text(building / "text" / stage, rank), folder, tokenizer, overlap, left_out):
        if not shard.is_done():
            tokenise(shard, tokenizer, overlap, encode)
        count += 1
    (folder / "count.json").write_text(json.dumps({"shards": count, "left_out": left_out}))


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """datatrove's log lines, of this process and those that it starts, go to a file instead of stderr."""
    from datatrove.utils.logging import setup_default_logger

    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with open(log, "a", 1, encoding="utf-8") as file, contextlib.redirect_stderr(file):
            os.dup2(file.fileno(), 2)
            setup_default_logger()  # loguru keeps the stream that it was given
            try:
                yield
            finally:
                os.dup2(terminal, 2)
    finally:
        os.close(terminal)
        setup_default_logger()
