"""The driver's end of a nursery: start points, send signals, hear how they ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# One thread a process: on small models two runs of one thread beat one run of two (benchmarks/RESULTS.md). A point
# that asks for more (machine.threads) takes them when it starts.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkersError(RuntimeError):
    """The nursery could not load what training needs; its own words are on stderr."""


class Workers:
    """Starts loading the libraries at once, in another process, while the driver checks the points."""

    def __init__(self) -> None:
        self.half = b""
        self.is_ready = False
        here = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
        environment = dict.fromkeys(THREAD_VARIABLES, "1") | {"PYTHONPATH": paths}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cptlab.sweeps.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=os.environ | environment, start_new_session=True,
        )  # fmt: skip

    def start(self, job: int, overrides: list[str], environment: dict[str, str]) -> None:
        """Train a point."""
        self._order({"job": job, "overrides": overrides, "environment": environment})

    def signal(self, number: int) -> None:
        """To every point that runs."""
        self._order({"signal": int(number)})

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
            if not self.is_ready:
                raise WorkersError("the process that loads torch and transformers ended before it was ready")
            yield {"gone": self.process.wait()}

    def close(self) -> None:
        """No more points; waits for the nursery's end."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.wait()

    def _order(self, order: dict[str, Any]) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its end is heard by `answers`
