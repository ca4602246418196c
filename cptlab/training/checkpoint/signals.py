"""Asked to stop: SIGTERM and SIGUSR1 (schedulers) and Ctrl-C end a run after the step that it is in.

A handler that another program set before (submitit's) is called once the checkpoint is written: it may requeue the job
and end the process; if it returns, training goes on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

REQUEUE = 75  # EX_TEMPFAIL of sysexits.h: "the user is invited to retry"
STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SCHEDULERS_OWN = (signal.SIGUSR2,)  # taken only where somebody handles it already (submitit)


def leave_at_once(signum: int, frame: FrameType | None = None) -> NoReturn:
    """A scheduler asks a process to go that has nothing to save yet: it goes, and may be queued again.

    No exception: a library that is being imported may swallow it. A lock that is left is then a dead process'.
    """
    os._exit(REQUEUE)


def take_early() -> None:
    """Called first thing: until the libraries are there a signal would end the process as a failure."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave_at_once)


class Stop:
    """A context within which signals are noted instead of obeyed. Only a main thread may; elsewhere nothing changes."""

    def __init__(self) -> None:
        self.signum = 0  # of the signal that asked for the end
        self.training = False  # before there is a step to finish, a signal ends the process at once
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.getsignal(number) for number in (*STOPPING, *SCHEDULERS_OWN)}
            for number in SCHEDULERS_OWN:
                if not callable(self.before[number]):
                    del self.before[number]
            for number in STOPPING:
                if self.before[number] is signal.SIG_IGN:  # nohup, background jobs of a shell
                    del self.before[number]
            self.take()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def take(self) -> None:
        """Handle the signals from now on, again after Lightning has put its own handlers in front."""
        for number in self.before:
            signal.signal(number, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGINT and self.signum == signal.SIGINT:  # a second Ctrl-C does not wait
            raise KeyboardInterrupt
        self.signum = signum
        if not self.training:
            earlier = self.earlier(signum)
            if earlier:
                earlier(signum, frame)
                self.signum = 0
            else:
                self.leave()
        elif signum == signal.SIGINT:
            print("\nsaving after this step; Ctrl-C again ends at once", file=sys.stderr, flush=True)

    def earlier(self, signum: int) -> Callable | None:
        """The handler of another program for this signal, if there is one."""
        handler = self.before.get(signum)
        ours = (signal.default_int_handler, leave_at_once)
        return handler if callable(handler) and handler not in ours else None

    def leave(self) -> NoReturn:
        """End the process as the signal asks: Ctrl-C as ever, a scheduler's with the code to be requeued."""
        if self.signum == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(REQUEUE)

    @property
    def name(self) -> str:
        """SIGTERM, SIGUSR1, Ctrl-C; "" if none came."""
        if not self.signum:
            return ""
        return "Ctrl-C" if self.signum == signal.SIGINT else signal.Signals(self.signum).name
