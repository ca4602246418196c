"""SHA-256 of the weights of a folder, remembered under path, size and times of change: large ones are read once.

Of the processes of a run, and of the points of a grid, one reads; the others wait for its note. Notes lie in
`$CPTLAB_CACHE`, else `~/.cache/cptlab`; where neither can be written, every process reads for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from cptlab.errors import UserError

SMALL = 32 << 20  # bytes that are read faster than it takes to look after notes
FRESH = 0.05  # [s] a file changed so lately may change again within the same tick of the clock


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the safetensors files of a Hugging Face folder, in name order. UserError where there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"model: no *.safetensors in {folder}; cptlab loads no pickled weights, convert them first")
    if sum(file.stat().st_size for file in files) < SMALL:
        return read(files)
    note = note_of(files)
    with alone(note):
        with contextlib.suppress(OSError):
            known = note.read_text("utf8")
            if len(known) == 64:
                return known
        digest = read(files)
        write(note, digest, files)
        return digest


def read(files: list[Path]) -> str:
    """SHA-256 over all bytes of the files, one after another."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as handle:
            while chunk := handle.read(1 << 22):
                digest.update(chunk)
    return digest.hexdigest()


def note_of(files: list[Path]) -> Path:
    """Where the hash of files as they are is noted. The change time tells of a write that sets the old time again."""
    states = [(file, file.stat()) for file in files]
    key = json.dumps([[str(file.resolve()), s.st_size, s.st_mtime_ns, s.st_ctime_ns] for file, s in states])
    home = Path(os.environ.get("CPTLAB_CACHE") or Path.home() / ".cache" / "cptlab")
    return home / "weights" / hashlib.sha256(key.encode()).hexdigest()[:24]


def write(note: Path, digest: str, files: list[Path]) -> None:
    """Note a hash, whole or not at all; not where a file is too new for its time to tell, or nothing can be written."""
    if time.time() - max(file.stat().st_mtime for file in files) < FRESH:
        return
    with contextlib.suppress(OSError):
        temporary = note.with_suffix(f".{os.getpid()}")
        temporary.write_text(digest, "utf8")
        temporary.replace(note)


@contextlib.contextmanager
def alone(note: Path) -> Iterator[None]:
    """One process at a time reads the files of a note, where the file system knows file locks."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):
            import fcntl

            note.parent.mkdir(parents=True, exist_ok=True)
            handle = stack.enter_context(note.with_suffix(".lock").open("a+"))
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
