"""Tokenise shards in this process or in several; the shards in flight, and so the memory, are bounded."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from cptlab.data.building.decontaminate import Overlap, load_overlap
from cptlab.data.building.progress import BuildProgress
from cptlab.data.building.shards import Shard, tokenise
from cptlab.data.tokenizer import Tokenizer, load_tokenizer
from cptlab.errors import UserError

AHEAD = 2  # shards read ahead of each process


class StoppedError(UserError):
    """A build that ended for a reason that does not lie in its input: what is done is kept."""


class Tokenisers:
    """`workers` processes of one thread each, or this one with the tokenizer's own threads; a context manager.

    building: folder with `tokenizer/` and, where there is one, `overlap.npy`.
    """

    def __init__(self, building: Path, tokenizer: Tokenizer, overlap: Overlap | None, workers: int) -> None:
        self.building, self.tokenizer, self.overlap, self.workers = building, tokenizer, overlap, workers
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Tokenisers":
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def run(self, shards: Iterator[Shard], progress: BuildProgress) -> int:
        """Tokenise the shards that are not done yet; returns how many there are in all."""
        count = 0
        running: deque[tuple[Future, int]] = deque()
        first = next(shards, None)
        second = next(shards, None)
        alone = second is None or self.workers == 1  # starting processes for one shard would cost more
        for shard in (s for some in ([first, second], shards) for s in some if s is not None):
            count += 1
            size = sum(len(piece.text) for piece in shard.pieces)
            if shard.is_done():
                progress.update(size)
            elif alone:
                tokenise(shard, self.tokenizer, self.overlap)
                progress.update(size)
            else:
                while len(running) >= AHEAD * self.workers:
                    self._wait(running, progress)
                running.append((self._started().submit(work, shard), size))
        while running:
            self._wait(running, progress)
        return count

    def _wait(self, running: deque[tuple[Future, int]], progress: BuildProgress) -> None:
        future, size = running.popleft()
        try:
            future.result()
        except BrokenProcessPool as error:
            raise StoppedError(
                "a process of the build was killed, by the system perhaps for want of memory; run the same command "
                "again with fewer --workers, it continues."
            ) from error
        progress.update(size)

    def _started(self) -> ProcessPoolExecutor:
        if self.pool is None:
            self.pool = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), start, (str(self.building),)
            )
        return self.pool


state: dict[str, tuple[Tokenizer, Overlap | None]] = {}


def start(building: str) -> None:
    """First thing in a worker: one thread, the tokenizer, and an end with the builder's."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=end_with_parent, daemon=True).start()
    tokenizer = load_tokenizer(str(Path(building) / "tokenizer"))
    state["worker"] = tokenizer, load_overlap(Path(building) / "overlap.npy")


def end_with_parent() -> None:
    """A killed builder leaves no process behind."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def work(shard: Shard) -> None:
    """One shard in a worker."""
    tokenise(shard, *state["worker"])
