"""Global batches are the same whatever reads them, and a killed run goes on where it was."""

import hashlib
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.mixtures.static import Static
from cptlab.replay.none import NoReplay
from cptlab.training.loader import step_loader

STEPS = 40


def make_stream(folder):
    corpora = {}
    for name, size, first in (("general", 4001, 1), ("law", 801, 20_000), ("code", 1201, 40_000)):
        path = Path(folder) / f"{name}.bin"
        if not path.exists():
            (np.arange(size) + first).astype("<u2").tofile(path)
        corpora[name] = Corpus(name, name, "train", str(path), size, size, 1, "", "")
    return TokenStream.plan(
        corpora, Static(shares={"general": 0.5, "law": 0.2, "code": 0.3}), NoReplay(), general="general",
        steps=STEPS, rows_per_step=12, sequence_length=8, eos_id=0, seed=3,
    )  # fmt: skip


def digests(stream, first, world_size, num_workers):
    """Hash of every global batch from `first` on, put together from what the ranks read."""
    loaders = [step_loader(stream, first, rank, world_size, num_workers) for rank in range(world_size)]
    for parts in zip(*loaders, strict=True):
        whole = np.concatenate([np.stack([p[k].numpy() for k in ("input_ids", "labels", "position_ids")], 1) for p in parts])  # fmt: skip
        yield hashlib.sha256(whole.tobytes()).hexdigest()


def test_ranks_workers_and_the_first_step_change_no_global_batch(tmp_path):
    stream = make_stream(tmp_path)
    expected = list(digests(stream, 0, 1, 0))
    assert len(set(expected)) == STEPS
    for first, world_size, num_workers in ((0, 5, 0), (7, 2, 0), (31, 1, 2)):
        assert list(digests(stream, first, world_size, num_workers)) == expected[first:]


def test_workers_do_not_read_ahead_of_a_plan_that_grows(tmp_path):
    stream = make_stream(tmp_path)
    stream.steps += 1
    with pytest.raises(ValueError, match="2 workers cannot read ahead of 40 planned steps"):
        step_loader(stream, num_workers=2)


def test_killed_at_any_step_and_resumed_with_other_ranks_the_batches_are_the_same(tmp_path):
    expected = list(digests(make_stream(tmp_path), 0, 1, 0))
    log = tmp_path / "log"
    log.touch()
    rng = np.random.default_rng(0)
    for world_size, num_workers in ((1, 0), (3, 2), (4, 0)):
        first = len(log.read_text().split())
        last = min(STEPS - 2, first + int(rng.integers(3, 12)))
        arguments = (tmp_path, first, last, world_size, num_workers)
        run = multiprocessing.get_context("fork").Process(target=run_until_killed, args=arguments)
        run.start()
        run.join()
        assert run.exitcode == -signal.SIGKILL
    lines = log.read_text().split()
    lines += digests(make_stream(tmp_path), len(lines), 2, 0)
    assert lines == expected


def run_until_killed(folder, first, last, world_size, num_workers):
    """Log the batches and die at `last` without a chance to clean up."""
    with open(Path(folder) / "log", "a") as log:
        for step, digest in enumerate(digests(make_stream(folder), first, world_size, num_workers), first):
            log.write(digest + "\n")
            log.flush()
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)
