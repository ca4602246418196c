"""Real processes that run train.py, forked from one that has its libraries loaded: they start at once."""

import contextlib
import json
import os
import runpy
import shutil
import signal
import sys
import time
from pathlib import Path

from cptlab.records.run import read_rows
from cptlab.records.run_folders import last_attempts
from cptlab.training.checkpoint.folder import kept

ROOT = Path(__file__).parents[2]
VOLATILE = ("seconds", "attempt")


def _train(overrides, log, prepare, variables):
    """The program as a user starts it."""
    os.environ.update(variables)
    prepare()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell may have had it ignored
    handle = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.chdir(ROOT)
    sys.argv = ["train.py", *overrides]
    runpy.run_path("train.py", run_name="__main__")


def nothing():
    """As it is."""


class Command:
    """A started train.py; `prepare` is called in its process before, with `variables` in its environment."""

    def __init__(self, context, overrides, log, prepare=nothing, variables=None):
        self.log, self.runs = log, Path(next(o for o in reversed(overrides) if o.startswith("runs=")).split("=")[1])
        self.process = context.Process(target=_train, args=(overrides, log, prepare, variables or {}))
        self.process.start()

    def folder(self):
        return next(iter(path.parent for path in self.runs.glob("*/run.json")), None)

    def wait_for(self, pattern, seconds=60):
        """Until a file of the run folder matches the pattern."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.is_alive(), self.log.read_text()
            with contextlib.suppress(OSError):
                if any(self.runs.glob(f"*/{pattern}")):
                    return
            time.sleep(0.002)
        raise AssertionError(f"no {pattern} within {seconds} s: {self.log.read_text()}")

    def wait_for_line(self, text, seconds=60):
        """Until the process has written the text."""
        end = time.monotonic() + seconds
        while text not in self.output():
            assert self.process.is_alive(), self.output()
            assert time.monotonic() < end, f"no {text!r} within {seconds} s: {self.output()}"
            time.sleep(0.002)

    def send(self, signum):
        os.kill(self.process.pid, signum)
        return self.exit_code()

    def exit_code(self):
        self.process.join(90)
        return self.process.exitcode

    def output(self):
        return self.log.read_text() if self.log.exists() else ""


def numbers(folder):
    """What readers see of a record: the last row of each step, domain and split, without clocks."""
    rows = sorted(last_attempts(read_rows(folder)), key=lambda row: (row["step"], row["domain"], row["split"]))
    return [{key: value for key, value in row.items() if key not in VOLATILE} for row in rows]


def done(folder):
    return json.loads((folder / "done.json").read_text())


def forget_end(folder):
    """As if the run had been killed after the checkpoint before its last."""
    (folder / "done.json").unlink()
    shutil.rmtree(kept(folder)[0])
