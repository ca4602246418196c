"""How much of the disk the stored answers of a base take, by the planned order: known before any run of a grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cptlab.errors import UserError
from cptlab.regularizers.kl_to_base import KLToBase
from cptlab.training.checkpoint.disk import MARGIN, free_bytes, readable

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.data.stream import TokenStream

FOLDER, WHOLE = "base_answers", "complete"  # in the folder of a run; the file that says that all of them are there
BYTES = 6  # of one answer: int32 and float16


def size_of(rows: int, sequence_length: int, top_k: int, vocab_size: int) -> int:
    """[byte] no more tokens are told apart than there are."""
    return rows * sequence_length * min(top_k, vocab_size) * BYTES


def vocabulary_of(described: Mapping[str, Any], vocab_size: int) -> int:
    """Tokens that a model predicts. described: its config.json, {} for a new one with `vocab_size`, the tokenizer's."""
    return (described.get("text_config") or described).get("vocab_size", vocab_size)


def still_to_store(config: TrainConfig, stream: TokenStream, run: Path, vocab_size: int) -> int:
    """[byte] at most that a run will write of the base's answers. UserError where its disk has not that much."""
    regularizer = config.regularizer
    if not isinstance(regularizer, KLToBase) or regularizer.source != "stored" or (run / FOLDER / WHOLE).exists():
        return 0
    rows = most_rows(stream, regularizer.rows, config.data.general)
    needed = size_of(rows, stream.sequence_length, regularizer.top_k, vocab_size)
    refuse_large(needed, run, MARGIN)
    return needed


def refuse_large(needed: int, run: Path, margin: int = 0) -> None:
    """UserError unless the disk of a run holds so many bytes of answers."""
    free = free_bytes(run)
    if needed + margin > free:
        raise UserError(
            f"the base's answers take {readable(needed)} and {run.parent} has {readable(free)} free; lower"
            " regularizer.top_k, use regularizer.source=pass, or give another disk with runs="
        )


def most_rows(stream: TokenStream, kind: str, general: str) -> int:
    """Distinct rows of a kind in the whole order, rows of equal tokens counted apart."""
    table, steps = stream.table, stream.steps
    if kind == "replayed" and table.replay_corpus < 0:
        corpus, row, _ = stream.locate_seen(np.concatenate(stream.picks(0, steps)))
        return len(np.unique(np.stack([corpus, row]), axis=1).T)
    if kind == "replayed":
        return len(np.unique(stream.draws[table.replay_corpus].at(table.replay_running(steps))[0]))
    read = table.drawn(steps)
    if stream.seen_before:  # a buffer holds rows that this run does not draw
        read = read + stream.replayed.sum(axis=0)
    distinct = np.minimum(read, [draw.size for draw in stream.draws])
    return int(distinct.sum() if kind == "all" else distinct[stream.names.index(general)])
