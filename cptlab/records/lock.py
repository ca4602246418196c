"""Who trains a run now: `runs/<run_id>/lock.json`, refreshed while the process lives, so that no other trains it too.

A lock is stale when its process has died on this machine, or when it has not been refreshed for STALE seconds by the
clock of the file system. A stale one is taken over; whoever finds that this happened to its own lock ends at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cptlab.records.run import write_whole

NAME = "lock.json"
BEAT = 5.0  # [s] between two refreshments
STALE = 120.0  # [s] without one, after which a process of another machine counts as dead
LOST = 75  # exit code of a process whose lock was taken over: EX_TEMPFAIL, as of one that is to be started again


class RunLock:
    """The lock of one run folder, held from `acquire` to `release`.

    beat: [s] between refreshments (CPTLAB_LOCK_BEAT, else BEAT); stale: [s] see above.
    """

    def __init__(self, run: Path, beat: float | None = None, stale: float = STALE) -> None:
        self.run, self.stale = run, stale
        self.beat = float(os.environ.get("CPTLAB_LOCK_BEAT", BEAT)) if beat is None else beat
        self.token = uuid.uuid4().hex
        self.progress: Callable[[], tuple[int, int, float]] | None = None
        self._since = time.time()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> dict[str, Any] | None:
        """Take the lock; None, or what is known of the process that holds it."""
        self.run.mkdir(parents=True, exist_ok=True)
        with guarded(self.run.parent):
            other = holder(self.run, self.stale)
            if other:
                return other
            self._write()
        self._thread = threading.Thread(target=self._keep, name="run lock", daemon=True)
        self._thread.start()
        return None

    def watch(self, progress: Callable[[], tuple[int, int, float]]) -> None:
        """From now on the lock tells (step, steps, seconds a step) of the run."""
        self.progress = progress

    def release(self) -> None:
        """Give it back; a folder in which nothing was written goes too."""
        self._ended.set()
        if self._thread:
            self._thread.join()
        with guarded(self.run.parent):
            if (_read(self.run / NAME) or {}).get("token") == self.token:
                (self.run / NAME).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.run.rmdir()

    def _keep(self) -> None:
        while not self._ended.wait(self.beat):
            try:
                with guarded(self.run.parent):
                    now = _read(self.run / NAME)
                    if now and now.get("token") != self.token:
                        print(
                            f"{self.run}: this process gave no sign for {self.stale:g} s and another"
                            f" ({words(now)}) trains the point now; ending without a further word in its record",
                            file=sys.stderr,
                            flush=True,
                        )
                        os._exit(LOST)
                    self._write()
            except OSError as error:  # a full or absent disk: the next beat may find it well again
                print(f"{self.run / NAME} could not be refreshed ({error.strerror})", file=sys.stderr, flush=True)

    def _write(self) -> None:
        step, steps, pace = self.progress() if self.progress else (0, 0, 0.0)
        content = {"token": self.token, "host": platform.node(), "process": os.getpid(), "place": place(),
                   "born": born(os.getpid()), "since": self._since, "beat": time.time(),
                   "step": step, "steps": steps, "seconds_per_step": round(pace, 6)}  # fmt: skip
        write_whole(self.run / NAME, content)


def holder(run: Path, stale: float = STALE) -> dict[str, Any] | None:
    """What the lock of a run says if a living process holds it, else None."""
    content = _read(run / NAME)
    if content is None:
        return None
    if content.get("place") == place():
        number = content.get("process", -1)
        return content if alive(number) and born(number) == content.get("born") else None
    return content if _age(run / NAME) < stale else None


def words(content: dict[str, Any]) -> str:
    """'process 12 on host' for a message."""
    step = f", step {content['step']} of {content['steps']}" if content.get("steps") else ""
    return f"process {content.get('process')} on {content.get('host')}{step}"


def place() -> str:
    """Where a process number means this process: host, boot and process namespace."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def alive(process: int) -> bool:
    """Whether a process of this machine runs; one that has ended and was not collected yet does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return _stat(process)[:1] != ["Z"]


def born(process: int) -> str:
    """When a process started, in ticks: its number may be given again. "" where the system does not tell."""
    fields = _stat(process)
    return fields[19] if len(fields) > 19 else ""


def _stat(process: int) -> list[str]:
    """Fields of /proc/<process>/stat from the state on."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text("utf8"))
    except (OSError, ValueError):
        return None


def _age(file: Path) -> float:
    """[s] since a file was written, by the clock of its own file system: hosts' clocks may differ."""
    probe = file.with_name(f".clock.{os.getpid()}.{threading.get_ident()}")
    try:
        written = file.stat().st_mtime
        probe.touch()
        return probe.stat().st_mtime - written
    except OSError:
        return 0.0 if file.exists() else float("inf")
    finally:
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def guarded(runs: Path) -> Iterator[None]:
    """One process at a time looks at a lock and takes it, where the file system knows file locks."""
    with open(runs / ".lock", "a+") as file:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
