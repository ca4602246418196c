"""What a reader sees of a build: text, tokens a second, share read and time left, on stderr."""

import sys
import time
from collections.abc import Callable


class BuildProgress:
    """A line redrawn in a terminal, a new one every `EVERY` seconds elsewhere.

    share: the part of the source that has been read, in [0, 1]; None where it is not known.
    """

    EVERY = 10.0  # [s]

    def __init__(self, name: str, share: Callable[[], float | None]) -> None:
        self.name, self.share = name, share
        self.terminal = sys.stderr.isatty()
        self.started = self.shown = time.monotonic()
        self.chars = 0
        self.drawn = False

    def update(self, chars: int) -> None:
        """After a shard of `chars` characters."""
        self.chars += chars
        now = time.monotonic()
        if now - self.shown > (0.5 if self.terminal else self.EVERY):
            self.shown = now
            self._draw(now - self.started)

    def close(self) -> None:
        """Leave the line."""
        if self.terminal and self.drawn:
            sys.stderr.write("\n")

    def _draw(self, seconds: float) -> None:
        self.drawn = True
        line = f"{self.name}: {self.chars / 1e6:.0f}M characters, {self.chars / 1e6 / seconds:.1f}M a second"
        share = self.share()
        if share:
            line += f", {share:.0%} read, about {duration(seconds * (1 - share) / share)} left"
        sys.stderr.write(f"\r\x1b[2K{line}" if self.terminal else f"{line}\n")
        sys.stderr.flush()


def duration(seconds: float) -> str:
    """'45 s', '3 min', '2 h 05 min'."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} min"
