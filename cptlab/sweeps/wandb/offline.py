"""A study without a W&B server: its runs are kept offline for `wandb sync`; a search is made by W&B's own engine."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptlab.records.run import FAILED, FINISHED, RunFolder, read_rows
from cptlab.sweeps.cli import planned_of
from cptlab.sweeps.local_agent import say
from cptlab.sweeps.study import Study
from cptlab.sweeps.wandb import engine
from cptlab.sweeps.wandb.drive import FOLDER, Place, specs
from cptlab.sweeps.wandb.spec import Search, program
from cptlab.sweeps.workers import THREAD_VARIABLES

LOOK = 0.5  # [s] between two looks at running trials
OFFLINE = "tracking.mode=offline"


def run_offline(study: Study, search: Search, place: Place) -> int:
    """Train here. Returns 0 if every run that was started is finished, or was ended early."""
    workers = max(place.agents, 1)
    if search.follows_points:
        from cptlab.sweeps.sweep import sweep

        points = [[*point, OFFLINE] for point in study.points]
        return sweep(dataclasses.replace(study, points=points), workers, retries=place.retries)
    contents = specs(study, planned_of(study), search)
    return max(Trials(content, search, workers).run() for content in contents)


@dataclass
class Running:
    """A trial and its process."""

    trial: engine.Trial
    process: subprocess.Popen
    folder: RunFolder
    log: Path
    ended_early: bool = False


class Trials:
    """A search on this machine, some runs at a time."""

    def __init__(self, content: Mapping[str, Any], search: Search, workers: int) -> None:
        self.name, self.workers, self.search = content["name"], workers, search
        self.engine = engine.Engine(content)
        self.trials: list[engine.Trial] = []
        self.running: list[Running] = []
        self.failed = 0

    def run(self) -> int:
        """Until the engine proposes nothing more."""
        more = True
        try:
            while more or self.running:
                while more and len(self.running) < self.workers:
                    values = self.engine.propose(self.trials)
                    more = values is not None
                    if values is not None:
                        self._start(values)
                time.sleep(LOOK)
                self._look()
        except BaseException:
            for each in self.running:
                each.process.send_signal(signal.SIGINT)
            for each in self.running:
                each.process.wait()
            raise
        best = min((t for t in self.trials if t.state == engine.FINISHED and t.history), default=None,
                   key=lambda t: t.history[-1])  # fmt: skip
        say(f"{self.name}: {len(self.trials)} runs, {self.failed} failed" + (
            f"; best {self.search.metric} {best.history[-1]:.4f}" if best else ""
        ))  # fmt: skip
        return int(self.failed > 0)

    def _start(self, values: dict[str, Any]) -> None:
        from cptlab.sweeps.preflight import check_points

        overrides = [*(f"{key}={value}" for key, value in values.items()), OFFLINE]
        folder = check_points([overrides])[0].folder
        trial = engine.Trial(len(self.trials), values)
        self.trials.append(trial)
        log = folder.path.parent / FOLDER / f"{folder.path.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        threads = {name: os.environ.get(name, "1") for name in THREAD_VARIABLES}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, program(), *overrides], env=os.environ | threads, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.running.append(Running(trial, process, folder, log))

    def _look(self) -> None:
        for each in list(self.running):
            each.trial.history = history(each.folder, self.search.metric)
            if each.process.poll() is not None:
                self.running.remove(each)
                self._ended(each)
        for trial in self.engine.hopeless(self.trials):
            for each in self.running:
                if each.trial is trial and not each.ended_early:
                    each.ended_early = True
                    each.process.terminate()

    def _ended(self, each: Running) -> None:
        done = each.folder.done() or {}
        # A search may draw a point twice: its second run says that the first one trains it, and ends well.
        finished = done.get("status") == FINISHED or each.process.returncode == 0
        each.trial.state = engine.FINISHED if finished or each.ended_early else engine.FAILED
        self.failed += each.trial.state == engine.FAILED
        reason = done.get("reason", "") if done.get("status") == FAILED else f"see {each.log}"
        how = "finished" if finished else "ended early" if each.ended_early else f"FAILED: {reason}"
        last = f"  {self.search.metric} {each.trial.history[-1]:.4f}" if each.trial.history else ""
        say(f"[{len(self.trials) - len(self.running)}] {each.folder.path} {how}{last}")


def history(folder: RunFolder, metric: str) -> list[float]:
    """`loss/<split>/<domain>` of each evaluation in a record, in order [nat/token]."""
    if not metric:
        return []
    _, split, domain = metric.split("/", 2)
    rows = {row["step"]: row for row in read_rows(folder.path) if (row["split"], row["domain"]) == (split, domain)}
    return [rows[step]["loss_sum"] / rows[step]["num_tokens"] for step in sorted(rows)]
