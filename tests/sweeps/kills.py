"""A grid of tiny points, what of it is killed, and what its records must then be."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cptlab.records.lock import alive
from cptlab.records.run import read_rows
from cptlab.records.run_folders import last_attempts

ROOT = Path(__file__).parents[2]
GRID = """
name: killed
fixed: {{model.size: 30k, model.width: 0, model.depth: 0, model.heads: 0, model.feed_forward: 0, tokens: {tokens},
  checkpoint.every_steps: 20, optimizer.peak_lr: 0.003}}
axes: {{mixture.domain_share: [{shares}]}}
seeds: [0, 1]
"""
# Of a row, of run.json and of done.json: clocks, counts of attempts, and where it ran.
CLOCKS = {"seconds", "attempt", "throughput", "of_attempt", "started", "hardware", "runs", "sweep"}


class Grid:
    """The command of one study, its processes, its records."""

    def __init__(self, folder, study, tokens=3840, shares="0, 0.2, 0.4, 0.6, 0.8, 1"):
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.runs, self.log = folder / "grid.yaml", folder / "runs", folder / "log"
        self.file.write_text(GRID.format(tokens=tokens, shares=shares))
        self.command = [sys.executable, "-m", "cptlab", "sweep", str(self.file), "--workers", "2", "--retries", "9"]
        self.command += [*study, "model.size=30k", f"runs={self.runs}"]
        self.command = [each for each in self.command if not each.startswith(("tokens=", "model.width", "model.depth",
                                                                             "model.heads", "model.feed"))]  # fmt: skip
        self.ended = {}  # run folder -> its done.json when it was first seen finished

    def start(self):
        with self.log.open("ab") as handle:
            return subprocess.Popen(self.command, cwd=ROOT, stdout=handle, stderr=handle, start_new_session=True)

    def wait_for_training(self, driver, seconds=180):
        """Until a point trains that has no end yet; False if the sweep ended meanwhile."""
        end = time.monotonic() + seconds
        while driver.poll() is None:
            if self.working():
                return True
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.01)
        return False

    def working(self):
        """Processes that hold the lock of a run that has begun."""
        found = []
        for file in self.runs.glob("*/lock.json"):
            with contextlib.suppress(OSError, ValueError):
                process = json.loads(file.read_text())["process"]
                if (file.parent / "run.json").exists() and alive(process):
                    found.append(process)
        return found

    def kill(self, driver, what):
        """SIGKILL for the driver, its nursery, one agent, or all of them at once."""
        nursery = children(driver.pid)
        agents = [process for parent in nursery for process in children(parent)]
        targets = {
            "driver": [driver.pid],
            "nursery": nursery,
            "agent": agents[:1],
            "all": [driver.pid, *nursery, *agents],
        }
        for process in targets[what]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if what in ("driver", "all"):
            driver.wait(60)

    def check_ends(self):
        """What has finished is never written again."""
        for file in self.runs.glob("*/done.json"):
            text = file.read_text()
            if json.loads(text)["status"] == "finished":
                assert self.ended.setdefault(file.parent, text) == text, file

    def ends(self):
        """(points killed after their last rows, those of them that trained a step again) once the grid is done."""
        after = twice = 0
        for file in self.runs.glob("*/done.json"):
            done, last = json.loads(file.read_text()), json.loads((file.parent / "run.json").read_text())["steps_total"]
            if any(row["step"] == last and row["attempt"] < done["attempt"] for row in read_rows(file.parent)):
                after += 1
                twice += done["of_attempt"]["from_step"] < last
        return after, twice

    def records(self):
        """{run_id: what readers see, without clocks}."""
        found = {}
        for run in sorted(self.runs.glob("*/run.json")):
            folder = run.parent
            facts, done = json.loads(run.read_text()), json.loads((folder / "done.json").read_text())
            facts["config"].pop("runs")
            facts["overrides"] = [each for each in facts["overrides"] if not each.startswith("runs=")]
            rows = read_rows(folder)
            attempts = [row["attempt"] for row in rows]
            assert attempts == sorted(attempts), f"{folder}: two processes wrote at a time"
            found[folder.name] = [*map(plain, (facts, done)), *map(plain, last_attempts(rows))]
        return found


def plain(content):
    return {key: value for key, value in content.items() if key not in CLOCKS}


def children(process):
    """Of a process of this machine, by its number."""
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []
