"""The states of jobs from squeue: unlike sacct it needs no accounting database."""

from __future__ import annotations

import subprocess
import time

from submitit.slurm.slurm import SlurmInfoWatcher

COLUMNS = "JobID|State|NodeList"  # as sacct names them
GONE = "GONE"  # SLURM forgets a job some minutes after its end (MinJobAge)
ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT", GONE,
}  # fmt: skip


class QueueWatcher(SlurmInfoWatcher):
    """What submitit asks for states: every two seconds at first, at last once a minute."""

    def __init__(self, delay_s: int = 60) -> None:
        super().__init__(delay_s=delay_s)

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Whether the job has ended; one that was requeued waits again."""
        return self.get_state(job_id, mode=mode) in ENDED

    def update(self) -> None:
        """Ask SLURM once. Where it does not answer (a controller that restarts), what was known stays."""
        waiting = self._registered - self._finished
        if not waiting:
            return
        numbers = ",".join(sorted({job.split("_")[0] for job in waiting}))
        command = ["squeue", "--states=all", "--noheader", "--format=%i|%T|%N", f"--jobs={numbers}"]
        answer = subprocess.run(command, capture_output=True, text=True)
        self._num_calls += 1
        self._last_status_check = time.time()
        if answer.returncode and "Invalid job id" not in answer.stderr:
            return
        known = self.read_info(f"{COLUMNS}\n{answer.stdout}")
        self._info_dict.update({job: {"State": GONE} for job in waiting - set(known)} | known)
        self._finished |= {job for job in waiting if self.is_done(job, mode="cache")}
