"""SHA-256 of files, remembered in the cache folder under path, size and times of change: read once until changed."""

import contextlib
import hashlib
import os
import time
from pathlib import Path

FRESH = 0.05  # [s] a file changed so lately may change again within the same tick of the clock


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hash(path: Path, cache: Path) -> str:
    """SHA-256 of a file's bytes; read again only if it was changed since."""
    known = known_hash(path, cache)
    if known:
        return known
    memo = memo_of(path, cache)  # of the state before the reading: a change meanwhile is seen the next time
    digest = sha256_file(path)
    note(memo, digest, path)
    return digest


def known_hash(path: Path, cache: Path) -> str:
    """What is remembered of a file as it is now; "" = nothing."""
    with contextlib.suppress(OSError):
        known = memo_of(path, cache).read_text()
        if len(known) == 64:
            return known
    return ""


def remember(path: Path, cache: Path, digest: str) -> None:
    """Note the hash of a file that was just written."""
    note(memo_of(path, cache), digest, path)


def memo_of(path: Path, cache: Path) -> Path:
    """The note about a file in its present state. The change time catches a write that sets the old time again."""
    status = os.stat(path)
    key = f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}\n{status.st_ctime_ns}"
    return cache / ".hashes" / hashlib.sha256(key.encode()).hexdigest()[:24]


def note(memo: Path, digest: str, path: Path) -> None:
    """Write a note, whole or not at all; none where the cache cannot be written: the file is then read each time."""
    if time.time() - os.stat(path).st_mtime < FRESH:
        return
    with contextlib.suppress(OSError):
        memo.parent.mkdir(parents=True, exist_ok=True)
        temporary = memo.with_suffix(f".{os.getpid()}")
        temporary.write_text(digest)
        temporary.replace(memo)
