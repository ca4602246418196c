"""One builder at a time: a lock file that says who holds it, released by the system when its holder dies."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`, where the system knows file locks; one line says so when it has to wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                say(f"{what} is being built by {file.read().strip() or 'another process'}; waiting for it ...")
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                say("this file system knows no locks: build one corpus at a time here")
        file.truncate(0)
        file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}")
        file.flush()
        yield


def say(line: str) -> None:
    """One line of progress, beside the output."""
    print(line, file=sys.stderr, flush=True)
