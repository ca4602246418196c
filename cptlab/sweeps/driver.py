"""Trains jobs on this machine, several at a time: skip, start, wait for other drivers, retry, stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cptlab.records.lock import holder, words
from cptlab.records.run import FAILED, RunFolder, read_rows
from cptlab.sweeps.job import Job
from cptlab.sweeps.seats import Seats
from cptlab.sweeps.workers import Workers
from cptlab.training.checkpoint.disk import MARGIN, free_bytes, readable
from cptlab.training.checkpoint.signals import REQUEUE
from cptlab.training.outcome import LOCKED, Outcome, repeats

LOOK = 0.2  # [s] between two looks at signals
ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)  # to end
ELSEWHERE = 2.0  # [s] between two looks at points that other processes train


class Driver:
    """One sweep. report: called with each outcome; say: shows a line; retries: further tries of a failed point.

    until: asked after each point; once it says why no further one matters, none starts and running ones save and end.
    workers: a nursery that loads its libraries already, for its maker to close; one that is made here ends here.
    """

    def __init__(
        self, jobs: Iterable[Job], seats: Seats, report: Callable[[Outcome], None], say: Callable[[str], None],
        retries: int = 0, workers: Workers | None = None,
        until: Callable[[], str] | None = None,
    ) -> None:  # fmt: skip
        self.pending, self.seats, self.report, self.say, self.retries = list(jobs), seats, report, say, retries
        self.running: dict[int, Job] = {}
        self.elsewhere: dict[int, Job] = {}
        self.outcomes: list[Outcome] = []
        self.workers = workers
        self.given = workers
        self.stop = 0  # signal that asked for the end
        self.until, self.enough = until, ""  # why no further point matters
        self.full = ""  # why the disk lets no further point start
        self.looked = 0.0

    def run(self) -> list[Outcome]:
        """Until every job has ended, the disk is full or a signal came; the last is raised when all have saved."""
        main = threading.current_thread() is threading.main_thread()
        before = {n: signal.signal(n, self._asked) for n in ASKED} if main else {}
        try:
            while self.running or (not self.ends and (self.pending or self.elsewhere)):
                self._look_elsewhere()
                self._start_what_fits()
                if self.workers and self.running:
                    for answer in self.workers.answers(LOOK):
                        self._hear(answer)
                elif self.elsewhere and not self.pending:
                    time.sleep(LOOK)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if self.workers and self.workers is not self.given:
                self.workers.close()
        if self.stop == signal.SIGINT:
            raise KeyboardInterrupt
        if self.stop:
            raise SystemExit(REQUEUE)
        return self.outcomes

    @property
    def ends(self) -> bool:
        """Whether no further point starts."""
        return bool(self.stop or self.full or self.enough)

    def _asked(self, number: int, frame: object) -> None:
        self.stop = number
        self.say("stopping: running points save and end; the same command continues")
        if self.workers:
            self.workers.signal(number)

    def _start_what_fits(self) -> None:
        for job in list(self.pending):
            if self.ends:
                return
            if job.folder and RunFolder(job.folder).is_finished:
                self.pending.remove(job)
                self._end(job, _skipped(job.folder))
            elif job.folder and (other := holder(job.folder)):
                self.pending.remove(job)
                self._leave_to(job, words(other))
            elif (environment := self._seat(job)) is not None:
                self.pending.remove(job)
                self.running[job.number] = job
                self.workers = self.workers or Workers()
                self.workers.start(job.number, job.overrides, environment)

    def _seat(self, job: Job) -> dict[str, str] | None:
        environment = self.seats.take(job)
        if environment is None or not job.folder or not job.disk:
            return environment
        needed, free = job.disk + sum(each.disk for each in self.running.values()), free_bytes(job.folder)
        if needed + MARGIN <= free:
            return environment
        self.seats.give(job)
        if not self.running:  # what ends may free its checkpoints, else nothing will
            self.full = (
                f"{job.folder.parent} has {readable(free)} free and the next point needs up to {readable(needed)};"
                " nothing more was started: free some, then give the same command"
            )
        return None

    def _leave_to(self, job: Job, other: str) -> None:
        self.elsewhere[job.number] = job
        self.say(f"{job.name} is trained by {other}; left to it")

    def _look_elsewhere(self) -> None:
        if not self.elsewhere or time.monotonic() - self.looked < ELSEWHERE:
            return
        self.looked = time.monotonic()
        for job in list(self.elsewhere.values()):
            if job.folder and not holder(job.folder):
                self.pending.append(self.elsewhere.pop(job.number))

    def _hear(self, answer: dict[str, Any]) -> None:
        if "gone" in answer:
            if self.workers:
                self.workers.close()
            self.workers = None
            for job in list(self.running.values()):
                self._ended(job, answer["gone"])
        elif "outcome" in answer:
            job, told = self.running[answer["job"]], dict(answer["outcome"])
            hopeless = told.pop("refused")
            folder = Path(told["folder"] or job.folder or " ".join(job.overrides))
            outcome = Outcome(
                told["run_id"], folder, told["status"], told["reason"], told["losses"], told["seconds"]
            )  # fmt: skip
            if outcome.status == LOCKED:
                self._free(job)
                self._leave_to(replace(job, folder=folder), outcome.reason)
            elif outcome.status == "failed" and not hopeless and not repeats(RunFolder(folder).done()):
                self._failed(job, outcome)
            else:
                self._free(job)
                self._end(job, outcome)
        elif "ended" in answer:
            self._ended(self.running[answer["job"]], answer["ended"])

    def _ended(self, job: Job, code: int) -> None:
        """A point that ended without a word: it was asked to, or killed."""
        if self.stop or self.enough:
            self._free(job)
            return
        how = signal.Signals(-code).name if code < 0 else f"code {code}"
        reason = f"its process ended with {how}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        folder = job.folder or Path(" ".join(job.overrides))
        self._failed(job, Outcome(folder.name, folder, "failed", reason, {}, 0.0))

    def _failed(self, job: Job, outcome: Outcome) -> None:
        self._free(job)
        job.failures += 1
        if job.failures <= self.retries and not self.ends:
            self.say(
                f"{outcome.folder} failed ({outcome.reason}); try {job.failures + 1} of {self.retries + 1} follows"
            )
            self.pending.append(job)
            return
        folder = RunFolder(outcome.folder)
        if (outcome.folder / "run.json").exists() and folder.done() is None and not holder(outcome.folder):
            folder.attempt = max((row["attempt"] for row in read_rows(outcome.folder)), default=0)
            folder.end(FAILED, outcome.reason, outcome.seconds)
        self._end(job, outcome)

    def _free(self, job: Job) -> None:
        self.running.pop(job.number, None)
        self.seats.give(job)

    def _end(self, job: Job, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.report(outcome)
        if self.until and not self.stop and not self.enough and (why := self.until()):
            self.enough = why
            self.pending, self.elsewhere = [], {}
            if self.workers and self.running:
                self.workers.signal(signal.SIGTERM)


def _skipped(folder: Path) -> Outcome:
    done = RunFolder(folder).done() or {}
    return Outcome(folder.name, folder, "skipped", "already finished", done.get("losses", {}), 0.0)
