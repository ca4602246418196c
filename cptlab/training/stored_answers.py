"""The base's answers for all rows of a run, asked for once before its first step and kept in its folder.

A row is known by its tokens, so one that comes again is asked for once. Each process asks for its share of the rows and
writes one file; all read all of them. 6 k byte a token: with k = 64, 384 byte a token of distinct rows.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cptlab.errors import UserError
from cptlab.training.answers import Answers, answers_of, top_answers
from cptlab.training.checkpoint.together import everywhere, of_all, world
from cptlab.training.evaluate import to_tensors
from cptlab.training.stored_size import FOLDER, WHOLE, refuse_large, size_of

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream
    from cptlab.training.module import CPTModule
    from cptlab.training.network import Rows

ROWS = 64  # of one forward pass at most


class Store:
    """`<run>/base_answers/`: for each process a table of hashes (n, 16), ids (n, T, k), log probabilities (n, T, k)."""

    def __init__(self, run: Path, top_k: int) -> None:
        self.folder, self.top_k = run / FOLDER, top_k
        self.known: dict[bytes, tuple[int, int]] = {}  # hash -> table, row in it
        self.tables: list[tuple[np.ndarray, np.ndarray]] = []

    def fill(self, module: CPTModule, stream: TokenStream, chosen: Callable[[Rows], Tensor]) -> None:
        """Every process calls it, before the first step; a run that goes on finds what it wrote."""
        if module.step and not (self.folder / WHOLE).exists():
            raise UserError(
                f"{self.folder} is gone, and the weights are no longer the base's; restore it, or remove the"
                " checkpoints to start again"
            )
        if not (self.folder / WHOLE).exists():
            self._ask(module, stream, chosen)
        for number, file in enumerate(sorted(self.folder.glob("*.hashes.npy"))):
            place = str(file).removesuffix("hashes.npy")
            self.tables.append(tuple(np.load(f"{place}{name}.npy", mmap_mode="r") for name in ("ids", "log_q")))  # type: ignore[arg-type]
            self.known |= {row.tobytes(): (number, at) for at, row in enumerate(np.load(file))}

    def read(self, ids_BT: Tensor) -> Answers:
        """Of rows of the run: (B * T, k), on the CPU."""
        places = [self.known[digest(row)] for row in ids_BT.numpy()]
        empty = self.tables[0][0][0:0].reshape(0, self.tables[0][0].shape[-1])
        ids, log_q = (np.concatenate([empty, *(self.tables[t][side][at] for t, at in places)]) for side in (0, 1))
        return Answers(torch.from_numpy(ids.astype(np.int32)), torch.from_numpy(log_q.astype(np.float32)))

    def remove(self) -> None:
        """All of it, once for all processes."""
        everywhere(lambda: shutil.rmtree(self.folder, ignore_errors=True) if world()[0] == 0 else None)

    def _ask(self, module: CPTModule, stream: TokenStream, chosen: Callable[[Rows], Tensor]) -> None:
        rank, size = world()
        rows = distinct(stream, chosen)
        width = module.network.inner[0].config.get_text_config().vocab_size
        top_k = min(self.top_k, width)
        if rank == 0:
            refuse_large(size_of(len(rows["corpus"]), stream.sequence_length, top_k, width), self.folder.parent)
            self.folder.mkdir(parents=True, exist_ok=True)
        of_all(0)  # the folder is there
        passes = -(-len(rows["corpus"]) // (size * ROWS))
        own = np.arange(rank, size * ROWS * passes, size)
        found: list[Answers] = []
        with module.evaluating(), torch.no_grad(), module.trainer.precision_plugin.forward_context():
            for start in range(0, len(own), ROWS):
                at = torch.from_numpy(np.minimum(own[start : start + ROWS], len(rows["corpus"]) - 1))
                part = module.network.inputs({name: value[at] for name, value in rows.items()}, module.device)
                found.append(answers_of(module.network, part, lambda hidden, head: top_answers(hidden, head, top_k)))
        number = int((own < len(rows["corpus"])).sum())
        place = self.folder / f"{rank:05d}-of-{size:05d}"
        hashes = [digest(rows["input_ids"][at].numpy()) for at in own[:number]]
        np.save(f"{place}.hashes.npy", np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16))
        for name, kind in (("ids", np.int32), ("log_q", np.float16)):
            tensors = [getattr(each, name).cpu().view(ROWS, stream.sequence_length, -1) for each in found]
            whole = torch.cat(tensors)[:number].numpy() if tensors else np.zeros((0, stream.sequence_length, top_k))
            np.save(f"{place}.{name}.npy", whole.astype(kind))
        of_all(0)
        everywhere(lambda: (self.folder / WHOLE).touch() if rank == 0 else None)


def distinct(stream: TokenStream, chosen: Callable[[Rows], Tensor]) -> Rows:
    """The chosen rows of all steps, each once, on the CPU."""
    seen: dict[bytes, dict[str, Tensor]] = {}
    for step in range(stream.steps):
        rows = to_tensors(stream.batch(step))
        for at in chosen(rows).tolist():
            seen.setdefault(digest(rows["input_ids"][at].numpy()), {name: value[at] for name, value in rows.items()})
    names = to_tensors(stream.batch(0))
    return {
        name: torch.stack([row[name] for row in seen.values()]) if seen else value[:0] for name, value in names.items()
    }


def digest(row: np.ndarray) -> bytes:
    """16 bytes that tell a row from every other."""
    return hashlib.blake2b(np.ascontiguousarray(row, dtype="<i8").tobytes(), digest_size=16).digest()
