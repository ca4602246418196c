"""Ctrl-C that cannot get lost: Python drops a KeyboardInterrupt that rises inside a destructor or a C callback."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lightning.pytorch import Callback, LightningModule, Trainer


class Interrupt(Callback):
    """Raises KeyboardInterrupt at the end of the step during which SIGINT came, if it did not rise before."""

    def __init__(self) -> None:
        self.asked = False

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        """Look at what the handler noted."""
        if self.asked:
            raise KeyboardInterrupt

    def note(self, signum: int, frame: FrameType | None) -> None:
        """The handler: note the signal, then rise as Python's own does."""
        self.asked = True
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[list[Callback]]:
    """Within, SIGINT is noted; yields the callbacks that act on it (none outside the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield []
        return
    interrupt = Interrupt()
    before = signal.signal(signal.SIGINT, interrupt.note)
    try:
        yield [interrupt]
    finally:
        signal.signal(signal.SIGINT, before)
