"""A process that loads the libraries once and forks one child a point: `python -m cptlab.sweeps.nursery`.

It speaks JSON lines. In: {"job", "overrides", "environment"} or {"signal"}. Out: {"ready"}, {"job", "process"}, then
{"job", "outcome"} or {"job", "ended"}. It never computes itself, so it has one thread and what it forks is sound; a
child that is killed takes nobody with it. When its starter is gone it asks its children to save and ends.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys
import traceback
from typing import IO, Any

from cptlab.errors import UserError

LINE = 1 << 16


class Nursery:
    """Children by the pipe that tells how they ended: [job, process, what they said]."""

    def __init__(self, orders: int, answers: IO[str]) -> None:
        self.orders, self.answers = orders, answers
        self.children: dict[int, list[Any]] = {}
        self.half = b""
        self.open = True

    def serve(self) -> None:
        """Until the starter is gone and no child is left."""
        self.say({"ready": os.getpid()})
        while self.open or self.children:
            pipes = [*([self.orders] if self.open else []), *self.children]
            for ready in map(int, select.select(pipes, [], [])[0]):
                if ready == self.orders:
                    self.listen()
                else:
                    self.hear(ready)

    def listen(self) -> None:
        """Orders of the starter; its end means SIGTERM for the children."""
        text = os.read(self.orders, LINE)
        self.open = bool(text)
        *lines, self.half = (self.half + text).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "signal" in order:
                self.send(order["signal"])
            else:
                self.start(**order)
        if not self.open:
            self.send(signal.SIGTERM)

    def send(self, number: int) -> None:
        """A signal to all children; none of them is collected yet, so their numbers are theirs."""
        for _, process, _ in self.children.values():
            os.kill(process, number)

    def start(self, job: int, overrides: list[str], environment: dict[str, str]) -> None:
        """Fork a child for one point, composed here, where what points share is kept."""
        from cptlab.sweeps.preflight import compose_point, task_overrides

        try:
            config = compose_point(task_overrides(overrides))
        except UserError as error:
            self.say({"job": job, "outcome": refused(str(error))})
            return
        heard, said = os.pipe()
        process = os.fork()
        if process:
            os.close(said)
            self.children[heard] = [job, process, b""]
            self.say({"job": job, "process": process})
            return
        code = 1
        try:
            end_with_parent(signal.SIGTERM)
            for fd in [heard, self.orders, *self.children]:
                os.close(fd)
            os.environ.update(environment)
            code = child(config, overrides, said)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def hear(self, pipe: int) -> None:
        """A part of what a child says, or its end."""
        text = os.read(pipe, LINE)
        self.children[pipe][2] += text
        if text:
            return
        job, process, said = self.children.pop(pipe)
        os.close(pipe)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        self.say({"job": job, "outcome": json.loads(said)} if said.endswith(b"\n") else {"job": job, "ended": code})

    def say(self, answer: dict[str, Any]) -> None:
        """One line to the starter, if it still listens."""
        try:
            self.answers.write(json.dumps(answer) + "\n")
            self.answers.flush()
        except BrokenPipeError:
            self.open = False


def child(config: Any, overrides: list[str], said: int) -> int:
    """Train the point; how it ended goes into the pipe, unless a signal ended it."""
    from cptlab.training.run import train_point

    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        outcome = vars(train_point(config, overrides, quiet=True))
        outcome = {**outcome, "folder": str(outcome["folder"]), "refused": False}
    except UserError as error:
        outcome = refused(str(error))
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:  # noqa: BLE001 - the driver reports it, and the other points go on
        traceback.print_exc()
        outcome = refused(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") | {"refused": False}
    os.write(said, json.dumps(outcome).encode() + b"\n")
    return 0


def end_with_parent(number: int) -> None:
    """On Linux, this process gets the signal when the one that started it is gone, however that ended."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG


def refused(reason: str) -> dict[str, Any]:
    """The outcome of a point that was not begun: trying again would not help."""
    return {"run_id": "", "folder": "", "status": "failed", "reason": reason, "losses": {}, "seconds": 0.0,
            "refused": True}  # fmt: skip


def main() -> None:
    """Load what every point needs, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what children print must not look like an answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes through the starter
    end_with_parent(signal.SIGTERM)
    load_libraries()
    gc.freeze()  # forked children then share these pages for longer
    Nursery(0, answers).serve()


def load_libraries() -> None:
    """Everything that training imports somewhere on its way."""
    from cptlab.training.build import import_torchmetrics, silence_libraries

    silence_libraries()  # torchao speaks while it is imported
    import_torchmetrics()
    import cptlab.training.attempt
    import cptlab.training.checkpoint.callback
    import cptlab.training.checkpoint.load
    import cptlab.training.loader
    import cptlab.training.module
    import cptlab.training.network
    import cptlab.training.parallel.arrange
    import cptlab.training.parallel.strategy
    import cptlab.training.recorder
    import cptlab.training.run
    import cptlab.training.trainer  # noqa: F401
    from cptlab.sweeps.preflight import compose_point

    silence_libraries()  # Lightning set its own level
    compose_point([])
    __import__("transformers.models.llama.modeling_llama")


if __name__ == "__main__":
    main()
