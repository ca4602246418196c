"""Runs the points of a grid in a few processes of this machine, one line a point."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path

from cptlab.errors import UserError
from cptlab.sweeps.lines import outcome_line
from cptlab.training.run import Outcome, train_point

# One thread a process: on small models two runs of one thread beat one run of two (benchmarks/RESULTS.md).
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def run_points(points: list[list[str]], workers: int) -> list[Outcome]:
    """Train points (override lists, checked before), `workers` at a time; a failed one does not stop the rest."""
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    started = time.monotonic()
    outcomes = []
    for outcome in _outcomes(points, workers):
        outcomes.append(outcome)
        print(outcome_line(outcome, len(outcomes), len(points), time.monotonic() - started), flush=True)
    return outcomes


def _outcomes(points: list[list[str]], workers: int) -> Iterator[Outcome]:
    context = multiprocessing.get_context("spawn")  # forked threads of torch would hang
    todo = iter(points)
    with ProcessPoolExecutor(min(workers, len(points)), mp_context=context) as pool:
        # No more futures than workers: what the pool has prefetched could not be cancelled.
        running = {pool.submit(_run, overrides) for overrides in itertools.islice(todo, workers)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_run, overrides) for overrides in itertools.islice(todo, len(done))}
                yield from (future.result() for future in done)
        except KeyboardInterrupt:
            print("stopping; finished points stay finished", file=sys.stderr)
            raise


def _run(overrides: list[str]) -> Outcome:
    from cptlab.sweeps.preflight import compose_point

    try:
        return train_point(compose_point(overrides), overrides, quiet=True)
    except UserError as error:
        return Outcome("", Path(" ".join(overrides)), "failed", str(error), {}, 0.0)
