"""One run as several processes of this machine: the command that a user types starts the others itself.

Inside torchrun or srun nothing is started: the process joins. The variables are those of torchrun, so that Lightning
and torch see no difference; what comes back is the exit code, one sentence for a failure, and Ctrl-C.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.training.checkpoint.signals import REQUEUE
from cptlab.training.parallel.ranks import is_first_process

if TYPE_CHECKING:
    from cptlab.training.machine import Machine

TRAIN = Path(__file__).parents[3] / "train.py"
NOTES = "CPTLAB_NOTES"  # folder in which a started process leaves its last sentence
RUN_ID = "CPTLAB_RUN_ID"  # the point that the starting process means
QUIET = "CPTLAB_QUIET"
GRACE = 20  # seconds that the others have to end by themselves after the first has
LIBC = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
ASKED_TO_STOP: dict[int, int] = {
    signal.SIGTERM: REQUEUE,
    signal.SIGUSR1: REQUEUE,
    signal.SIGHUP: 128 + signal.SIGHUP,
}  # exit codes
PASSED_ON = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]


def joined_world() -> int:
    """Processes that torchrun, srun or `start_processes` has started this one among; 1 outside them.

    Of SLURM's numbers that of the step: a batch script has SLURM_NTASKS too, and is one process.
    """
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_STEP_NUM_TASKS") or 1)


def was_started() -> bool:
    """Whether another process of cptlab started this one and speaks for it."""
    return NOTES in os.environ


def speaks() -> bool:
    """Whether this process tells the user how a point ended: the first of those that nobody of cptlab started."""
    return is_first_process() and not was_started()


def stays_quiet() -> bool:
    """Whether the process that started this one shows one line a point alone."""
    return bool(os.environ.get(QUIET))


def must_start(machine: Machine) -> bool:
    """Whether this process is alone where the machine has several."""
    return machine.world_size > 1 and joined_world() == 1


def check_processes(machine: Machine, rows_per_step: int) -> None:
    """UserError unless the processes that are here, or can be started, are those of the machine and share the rows.

    A pass takes no more rows than a process has.
    """
    world, joined = machine.world_size, joined_world()
    if joined not in (1, world):
        raise UserError(
            f"{joined} processes were started but machine.devices x machine.nodes is {machine.devices} x"
            f" {machine.nodes}; start as many, or set machine.devices and machine.nodes to what runs"
        )
    if joined == 1 and machine.nodes > 1:
        raise UserError(
            f"machine.nodes is {machine.nodes}: start every node with `torchrun --nnodes {machine.nodes}"
            f" --nproc-per-node {machine.devices} --node-rank N --master-addr FIRST_NODE train.py ...`, or with srun"
        )
    readers = world // machine.tensor_parallel
    if rows_per_step % readers:
        lower, upper = rows_per_step // readers * readers, (rows_per_step // readers + 1) * readers
        raise UserError(
            f"rows_per_step is {rows_per_step}, which {readers} processes cannot share evenly; use"
            f" {f'{lower} or ' if lower else ''}{upper}"
        )
    own = rows_per_step // readers
    if machine.micro_rows > own:
        raise UserError(
            f"machine.micro_rows is {machine.micro_rows} but a process has {own} rows of the {rows_per_step} a step;"
            f" use {own} or less, or 0 for all at once"
        )


def start_processes(machine: Machine, overrides: list[str], run_id: str, quiet: bool) -> tuple[int, str]:
    """Train one point with `machine.devices` processes; (exit code of the first that failed, its sentence).

    Signals are passed on; submitit's (SIGUSR2) as one that they know, and its handler is called once they have saved.
    UserError where the processes refuse the point, KeyboardInterrupt where Ctrl-C ended them. A signal that met them
    before they could take it gives the code of one that met them later.
    """
    with tempfile.TemporaryDirectory(prefix="cptlab-") as notes:
        shared = os.environ | {
            "WORLD_SIZE": str(machine.devices), "LOCAL_WORLD_SIZE": str(machine.devices), "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "TORCHELASTIC_RUN_ID": run_id,
            "OMP_NUM_THREADS": str(machine.threads), NOTES: notes, RUN_ID: run_id, QUIET: "1" if quiet else "",
        }  # fmt: skip
        command = [sys.executable, str(TRAIN), *overrides]
        processes: list[subprocess.Popen] = []
        received: list[int] = []

        def pass_on(number: int, frame: object = None) -> None:
            received.append(number)
            send(processes, signal.SIGUSR1 if number == signal.SIGUSR2 else number)

        schedulers = [signal.SIGUSR2] if callable(signal.getsignal(signal.SIGUSR2)) else []
        numbers = [*PASSED_ON, *schedulers] if in_main_thread() else []
        old: dict[int, Any] = {number: signal.signal(number, pass_on) for number in numbers}
        try:
            for rank in range(machine.devices):
                own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(
                    subprocess.Popen(command, env=shared | own, start_new_session=True, preexec_fn=_prepared)
                )
            code = _wait(processes, received)
        finally:
            send(processes, signal.SIGKILL)
            for number, handler in old.items():
                signal.signal(number, handler)
        sentences = [file.read_text("utf8") for file in sorted(Path(notes).iterdir())]
    if code and signal.SIGUSR2 in received:
        old[signal.SIGUSR2](signal.SIGUSR2, None)  # requeues the job and ends this process
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if code == 2:
        raise UserError(sentences[0] if sentences else "a process refused the run without a reason")
    if -code in received and -code in ASKED_TO_STOP:
        code = ASKED_TO_STOP[-code]
    name = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
    if -code == signal.SIGKILL:
        name += ", often the system's answer to a lack of memory"
    return code, sentences[0] if sentences else f"a process of the run ended with {name}"


def _wait(processes: list[subprocess.Popen], received: list[int]) -> int:
    """The first exit code that is not 0; once a process has failed or a signal came, the others have GRACE seconds."""
    first, deadline = 0, float("inf")
    while any(process.poll() is None for process in processes):
        codes = [process.poll() for process in processes]
        first = first or next((code for code in codes if code), 0)
        if first or received:
            deadline = min(deadline, time.monotonic() + GRACE) if first else deadline
        if time.monotonic() > deadline:
            send(processes, signal.SIGKILL)
        time.sleep(0.05)
    return first or next((process.returncode for process in processes if process.returncode), 0)


def send(processes: list[subprocess.Popen], number: int) -> None:
    """A signal to all that still run."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(number)


def leave_note(sentence: str) -> bool:
    """Tell the process that started this one why it ends; False where nobody did."""
    if not was_started():
        return False
    rank = os.environ["RANK"]
    Path(os.environ[NOTES], f"rank{rank}").write_text(sentence, "utf8")
    return True


def tell_torchrun(sentence: str) -> None:
    """Under torchrun, leave the sentence where it looks for its children's.

    It ends with a traceback of its own (ChildFailedError) whatever they do; the last lines of that then say this.
    """
    if place := _of_torchrun():
        more = {"py_callstack": sentence, "timestamp": str(int(time.time()))}
        place.write_text(json.dumps({"message": {"message": sentence, "extraInfo": more}}), "utf8")


def refuses_aloud() -> bool:
    """Whether this process prints why all of them refuse: the first.

    torchrun ends the others as soon as one has failed, so there the first of its machine to ask speaks.
    """
    if not (place := _of_torchrun()):
        return is_first_process()
    try:
        (place.parents[1] / "refused").touch(exist_ok=False)  # beside the folders of the ranks
    except FileExistsError:
        return False
    return True


def _of_torchrun() -> Path | None:
    """The file in which torchrun looks for this process's error: .../attempt_0/<local rank>/error.json."""
    return Path(place) if (place := os.environ.get("TORCHELASTIC_ERROR_FILE")) else None


def check_started_point(run_id: str) -> None:
    """UserError where the starting process meant another point than the one composed here."""
    meant = os.environ.get(RUN_ID, run_id)
    if meant != run_id:
        raise UserError(f"the processes of run {meant} compose {run_id}; pass every override of the configuration")


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_main_thread() -> bool:
    """Signal handlers can be set there alone."""
    import threading

    return threading.current_thread() is threading.main_thread()


def _prepared() -> None:
    """In a process before its program starts: SLURM signals every process of a job, and SIGUSR2 is the starter's.

    On Linux, a process whose starter was killed is killed too: no GPU stays taken.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if LIBC:
        LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
