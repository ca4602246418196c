"""Hydra's submitit launchers for points: finished ones are left out, each end is told, a failed one stops no other.

They stand in the place of the plug-in's own, whose settings stay. Those submit every point, say nothing until all have
ended, stop at the first that failed, and wait for ever for a cancelled job where SLURM keeps no accounts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence

import submitit
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher, LocalLauncher, SlurmLauncher
from submitit.slurm.slurm import SlurmJob

from cptlab.records.run import FAILED, RunFolder
from cptlab.sweeps.slurm.watch import QueueWatcher
from cptlab.training.outcome import Outcome

POLL = 0.5  # [s]; result files are looked for, SLURM itself is asked less often


class PointLauncher(BaseSubmititLauncher):
    """What both launchers below do. The class holds what stays with the process that hands in."""

    folders: Sequence[RunFolder] = ()  # of the points, in the order of the multirun
    report: Callable[[Outcome, int], None]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hand in what is not finished and wait. What Hydra would do with the answers, the records do."""
        told = initial_job_idx
        todo: list[int] = []
        for number in range(initial_job_idx, initial_job_idx + len(job_overrides)):
            folder = self.folders[number]
            if folder.is_finished:
                told += 1
                self.tell(Outcome(folder.path.name, folder.path, "skipped", "", _losses(folder.done()), 0.0), told)
            else:
                todo.append(number)
        if not todo:
            return []
        before = {number: self.folders[number].done() for number in todo}
        jobs = self._submit([job_overrides[number - initial_job_idx] for number in todo], todo)
        names = sorted({job.job_id.split("_")[0] for job in jobs})
        print(f"handed in {len(jobs)} jobs ({' '.join(names)}); logs: {jobs[0].paths.folder.parent}", flush=True)
        try:
            for number, job in _ended(dict(zip(todo, jobs, strict=True))):
                told += 1
                self.tell(outcome(self.folders[number], before[number], job), told)
        except KeyboardInterrupt:
            if self._EXECUTOR == "slurm":
                print(f"the jobs go on; `scancel {' '.join(names)}` ends them", file=sys.stderr)
            raise
        return []

    def tell(self, outcome: Outcome, told: int) -> None:
        """A function kept in a class is no method."""
        type(self).report(outcome, told)

    def _submit(self, points: list[Sequence[str]], numbers: list[int]) -> list[submitit.Job]:
        settings = dict(self.params)
        first = {f"{self._EXECUTOR}_{name}": settings.pop(name) for name in ("max_num_timeout",) if name in settings}
        executor = submitit.AutoExecutor(settings.pop("submitit_folder"), cluster=self._EXECUTOR, **first)
        shared = BaseQueueConf.__dataclass_fields__
        executor.update_parameters(
            **{name if name in shared else f"{self._EXECUTOR}_{name}": value for name, value in settings.items()}
        )
        state = Singleton.get_state()
        count = len(points)
        return executor.map_array(
            self, [list(point) for point in points], ["hydra.sweep.dir"] * count, numbers,
            [f"job_id_for_{number}" for number in numbers], [state] * count,
        )  # fmt: skip


class SlurmPoints(PointLauncher, SlurmLauncher):
    """A job array, a task of it for each point."""


class LocalPoints(PointLauncher, LocalLauncher):
    """All at once on this machine, to try a sweep out."""


def replace_launchers(folders: Sequence[RunFolder], report: Callable[[Outcome, int], None]) -> None:
    """From now on Hydra makes ours where a configuration names the plug-in's."""
    PointLauncher.folders, PointLauncher.report = folders, report
    SlurmJob.watcher = QueueWatcher()
    for theirs, ours in ((SlurmLauncher, SlurmPoints), (LocalLauncher, LocalPoints)):
        Plugins.instance().class_name_to_class[f"{theirs.__module__}.{theirs.__name__}"] = ours


def outcome(folder: RunFolder, before: dict | None, job: submitit.Job) -> Outcome:
    """How a job's point ended: what its record says, else what its log and SLURM say."""
    done = folder.done()
    if done is None or done == before:
        lines = [line for line in (job.stderr() or "").splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("error: ")] or lines
        state = f"job {job.job_id} {job.state}"
        reason = f"{state}: {said[-1]}" if said else state
        return Outcome(folder.path.name, folder.path, FAILED, reason, {}, 0.0)
    return Outcome(
        folder.path.name, folder.path, done["status"], done.get("reason", ""), _losses(done), done["seconds"]
    )  # fmt: skip


def _losses(done: dict | None) -> dict[str, float]:
    return (done or {}).get("losses", {})


def _ended(jobs: dict[int, submitit.Job]) -> Iterator[tuple[int, submitit.Job]]:
    """Each as it ends."""
    while jobs:
        for number in [number for number, job in jobs.items() if job.done()]:
            yield number, jobs.pop(number)
        time.sleep(POLL if jobs else 0)
