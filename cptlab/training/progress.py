"""What a reader sees of a run: a bar in a terminal, plain lines at evaluations elsewhere."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from cptlab.training.throughput import Throughput


def say(text: str, end: str = "\n") -> None:
    """Write to stderr. Where its reader has gone (`2>&1 | head`) the run goes on, and is silent from then on."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except BrokenPipeError:
        # The descriptor, not only Python's object: libraries write there too, and what is left is flushed at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def say_line(text: str) -> None:
    """A line of its own, in the place of a bar that a terminal shows."""
    say(f"\r\x1b[2K{text}" if sys.stderr.isatty() else text)


class Progress:
    """Tokens/s, losses and time left of one run. `quiet` shows nothing (a driver shows one line a point)."""

    def __init__(self, name: str, steps: int, tokens_per_step: int, quiet: bool = False, speaks: bool = True) -> None:
        self.name, self.steps, self.tokens_per_step = name, steps, tokens_per_step
        self.terminal = sys.stderr.isatty() and not quiet
        self.plain = not self.terminal and not quiet
        self.started = self.shown = time.monotonic()
        self.meter: Throughput | None = None
        self.speaks = speaks  # whether this process shows notes: of several, one
        self.step = 0
        self.first = 0  # step that this attempt started from

    def opened(self, text: str) -> None:
        """The line that a run opens with: what it chose by itself."""
        if (self.plain or self.terminal) and self.speaks:
            say_line(f"{self.name} {text}")

    def update(self, step: int, train_loss: float, losses: Mapping[str, float]) -> None:
        """After a step; redraws at most five times a second."""
        self.step, now = step, time.monotonic()
        if self.terminal and (now - self.shown > 0.2 or step == self.steps):
            self.shown = now
            filled = int(24 * step / self.steps)
            bar = "█" * filled + "░" * (24 - filled)
            place = f"{self.name} {bar} {step}/{self.steps}"
            text = f"{place}  {self._speed(step)}  train {train_loss:.3f}{_losses(losses)}"
            say(f"\r\x1b[2K{text}", end="")

    def evaluated(self, step: int, losses: Mapping[str, float]) -> None:
        """After an evaluation; starts the clock at the first one."""
        if step == 0:
            self.started = time.monotonic()
        if self.plain:
            speed = f"  {self._speed(step)}" if step else "  before the first update"
            say(f"{self.name} step {step}/{self.steps}{_losses(losses)}{speed}")

    def decided(self, step: int, shares: Mapping[str, float]) -> None:
        """After a decision of a mixture that learns."""
        if self.plain:
            text = "".join(f"  {name} {share:.3f}" for name, share in shares.items())
            say(f"{self.name} step {step}/{self.steps} mixture{text}")

    def resumed(self, step: int) -> None:
        """An attempt goes on from a step; starts the clock there."""
        self.first = self.step = step
        self.started = time.monotonic()

    def place(self) -> tuple[int, int, float]:
        """(step, steps, seconds a step of this attempt)."""
        done = self.step - self.first
        return self.step, self.steps, (time.monotonic() - self.started) / done if done else 0.0

    def ended(self, summary: Mapping[str, Any]) -> None:
        """The line that an attempt closes with: its speed, data wait and memory, as the record keeps them."""
        if (self.plain or self.terminal) and self.speaks and self.meter:
            say_line(f"{self.name} {self.meter.last_line(summary)}")

    def note(self, text: str) -> None:
        """A line that a reader must not miss, quiet or not."""
        if self.speaks:
            say_line(text)

    def close(self) -> None:
        """Leave the bar's line."""
        if self.terminal:
            say("")

    def _speed(self, step: int) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        done = step - self.first
        rate = done * self.tokens_per_step / seconds
        left = seconds / max(done, 1) * (self.steps - step)
        speed = (self.meter.line() if self.meter else "") or f"{rate / 1e3:.1f}k tokens/s"
        return f"{speed}, {duration(left)} left"


def _losses(losses: Mapping[str, float]) -> str:
    return "".join(f"  {name} {loss:.4f}" for name, loss in losses.items())


def duration(seconds: float) -> str:
    """'45 s', '3 min 20 s', '2 h 05 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
