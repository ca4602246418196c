"""Global batches are the same whatever reads them, and a killed run goes on where it was."""

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.mixtures.ramp import Ramp
from cptlab.mixtures.static import Static
from cptlab.mixtures.subset_epochs import SubsetEpochs
from cptlab.mixtures.ucb import UCB
from cptlab.replay.buffer import UnboundedBuffer
from cptlab.replay.decaying import DecayingReplay
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay
from cptlab.replay.reservoir import Reservoir
from cptlab.training.loader import step_loader

STEPS = 200


SHARES = {"general": 0.5, "law": 0.2, "code": 0.3}
KINDS = {
    "static": lambda: (Static(shares=SHARES), NoReplay(), {}),
    "best_fit with a reservoir": lambda: (
        Static(shares=SHARES), Reservoir(replay_share=0.4, capacity=50), {"packing": "best_fit"}
    ),
    "a ramp with a buffer": lambda: (
        Ramp(start=0.1, end=0.9, domain="law"), UnboundedBuffer(replay_share=0.3), {}
    ),
    "subset epochs with decaying replay": lambda: (
        SubsetEpochs(shares=SHARES, epochs=10), DecayingReplay(start=0.5, end=0.1), {"max_epochs": 30, "on_max_epochs": "cap"}
    ),
    "a grown plan": lambda: (UCB(interval=0.1), FixedReplay(replay_share=0.2), {}),
}  # fmt: skip


def make_stream(folder, kind="static"):
    corpora = {}
    for name, size, first in (("general", 4001, 1), ("law", 801, 20_000), ("code", 1201, 40_000)):
        path = Path(folder) / f"{name}.bin"
        if not path.exists():
            tokens = np.arange(size) + first
            tokens[np.append(np.cumsum(np.random.default_rng(first).integers(2, 9, size // 10)), -1)] = 0
            tokens.astype("<u2").tofile(path)
        corpora[name] = Corpus(name, name, "train", str(path), size, size, 1, "", "0" * 64)
    mixture, replay, more = KINDS[kind]()
    stream = TokenStream.plan(
        corpora, mixture, replay, general="general", steps=STEPS, rows_per_step=12, sequence_length=8, eos_id=0, seed=3,
        **more,
    )  # fmt: skip
    while stream.planned_steps < STEPS:  # decisions as a resumed run takes them from its record
        shares = np.random.default_rng(stream.planned_steps).dirichlet(np.ones(3))
        stream.extend(np.tile(shares, (20, 1)), np.full(20, 0.2))
    return stream


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
    for first, world_size, num_workers in ((0, 5, 0), (7, 2, 0), (191, 1, 2)):
        assert list(digests(stream, first, world_size, num_workers)) == expected[first:]


def test_workers_do_not_read_ahead_of_a_plan_that_grows(tmp_path):
    stream = make_stream(tmp_path)
    stream.steps += 1
    with pytest.raises(ValueError, match="2 workers cannot read ahead of 200 planned steps"):
        step_loader(stream, num_workers=2)


@pytest.mark.parametrize("kind", list(KINDS))
def test_killed_at_random_points_with_other_ranks_and_workers_each_time_the_batches_are_the_same(tmp_path, kind):
    expected = list(digests(make_stream(tmp_path, kind), 0, 1, 0))
    assert len(set(expected)) == STEPS
    log = tmp_path / "log"
    log.touch()
    rng = np.random.default_rng(list(KINDS).index(kind))
    started = []
    for number, (world_size, num_workers) in enumerate([(1, 0), (3, 1), (4, 0), (2, 2), (5, 0)]):
        lines = whole_lines(log)
        started.append(len(lines))
        run = multiprocessing.get_context("fork").Process(
            target=log_batches, args=(tmp_path, kind, len(lines), world_size, num_workers)
        )
        run.start()
        wait_for(run, log, len(lines) + 1 + int(rng.integers(0, STEPS // 8)) if number else 1)
        time.sleep(rng.uniform(0, 0.01))  # anywhere in a step, in a worker or in the middle of a line
        os.kill(run.pid, signal.SIGKILL)
        run.join()
        assert run.exitcode == -signal.SIGKILL
    lines = whole_lines(log)
    assert started == sorted(set(started))  # each attempt came further than the one before
    assert len(lines) < STEPS
    assert lines + list(digests(make_stream(tmp_path, kind), len(lines), 2, 0)) == expected


def wait_for(run, log, count):
    """Until the log holds `count` lines."""
    deadline = time.monotonic() + 60
    while log.read_bytes().count(b"\n") < count:
        assert run.is_alive(), "the process ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.001)


def whole_lines(log):
    """Lines of the log; one that the kill cut is removed."""
    with open(log, "r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
    return log.read_text().split()


def log_batches(folder, kind, first, world_size, num_workers):
    """Log every batch from `first` on, then wait for the end."""
    with open(Path(folder) / "log", "a") as log:
        for digest in digests(make_stream(folder, kind), first, world_size, num_workers):
            log.write(digest + "\n")
            log.flush()
            time.sleep(0.005)  # a step of training
    time.sleep(60)
