"""The driver's end of a nursery: start points, send signals, hear how they ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cptlab.errors import UserError

# One thread a process: on small models two runs of one thread beat one run of two (benchmarks/RESULTS.md). A point
# that asks for more (machine.threads) takes them when it starts.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkersError(UserError):
    """The nursery could not load what training needs; its own words are on stderr."""


class Workers:
    """Starts loading the libraries at once, in another process, while the driver checks the points."""

    def __init__(self) -> None:
        self.half = b""
        self.is_ready = self.is_used = self.is_stopped = False
        here = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
        environment = dict.fromkeys(THREAD_VARIABLES, "1") | {"PYTHONPATH": paths}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cptlab.sweeps.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | environment, start_new_session=True,
        )  # fmt: skip

    def start(self, job: int, overrides: list[str], environment: dict[str, str]) -> None:
        """Train a point."""
        self.is_used = True
        self._order({"job": job, "overrides": overrides, "environment": environment})

    def signal(self, number: int) -> None:
        """To every point that runs. Where the libraries are still loading none does, and loading ends."""
        self.is_stopped = True
        if self.is_ready:
            self._order({"signal": int(number)})
        else:
            self.process.kill()

    def answers(self, seconds: float) -> Iterator[dict[str, Any]]:
        """What came within some seconds; {"gone"} where the nursery has ended."""
        assert self.process.stdout
        pipe = self.process.stdout.fileno()
        if not select.select([pipe], [], [], seconds)[0]:
            return
        text = os.read(pipe, 1 << 16)
        *lines, self.half = (self.half + text).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.is_ready |= "ready" in answer
            yield answer
        if not text:
            if not self.is_ready and not self.is_stopped:
                raise WorkersError("the process that loads torch and transformers ended before it was ready")
            yield {"gone": self.process.wait()}

    def close(self) -> None:
        """No more points; waits for the nursery's end. One that had nothing to do need not finish loading."""
        if not self.is_used:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait()

    def _order(self, order: dict[str, Any]) -> None:
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError):  # its end is heard by `answers`
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()


class KeptWorkers:
    """A nursery for several sweeps, one after the other: begun when the first needs it, ended with the context."""

    def __init__(self) -> None:
        self.workers: Workers | None = None

    def get(self) -> Workers:
        """The one that lives, or a new one."""
        if self.workers is None or self.workers.process.poll() is not None:
            self.__exit__()
            self.workers = Workers()
        return self.workers

    def __enter__(self) -> KeptWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        if self.workers:
            self.workers.close()
