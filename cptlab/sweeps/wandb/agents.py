"""`wandb sweep` and `wandb agent` of W&B's own client, as processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from cptlab.errors import UserError
from cptlab.sweeps.local_agent import say
from cptlab.sweeps.workers import THREAD_VARIABLES
from cptlab.training.checkpoint.signals import REQUEUE

WANDB = [sys.executable, "-m", "wandb"]
SAVING = 600  # [s] for a run to save after a signal, before W&B's agent kills it
TROUBLE = 1000  # failed runs after which an agent gives up: what fails again and again is told at the end


def hand_in(content: Mapping[str, Any], file: Path, entity: str) -> str:
    """Write the sweep's file and create the sweep; returns entity/project/id."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf8")
    project = content["parameters"]["tracking.project"]["value"]
    command = [*WANDB, "sweep", "--project", project, *(["--entity", entity] if entity else []), str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"wandb agent (\S+/\S+/\S+)", done.stderr + done.stdout)
    if done.returncode or not found:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no word"]
        raise UserError(
            f"W&B did not take the sweep ({said[-1].removeprefix('wandb: ').strip()[:200]});"
            " `wandb login`, or --offline"
        )
    return found[1]


def agent_command(sweep: str) -> list[str]:
    """What works a sweep off, on any machine that has the corpora and bases."""
    return ["wandb", "agent", "--forward-signals", "--term-timeout", str(SAVING), sweep]


@contextmanager
def sigterm_ends() -> Iterator[None]:
    """Within it SIGTERM ends this process as Ctrl-C does, once agents and runs have saved; only a main thread may."""

    def end(*_: object) -> None:
        raise SystemExit(REQUEUE)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def work_off(sweep: str, agents: int, folder: Path, group: str, look: Callable[[], None]) -> None:
    """Run that many agents here until all have ended. Ctrl-C reaches them and their runs, which save.

    One that is killed is replaced, as often as there are agents: the rest of the sweep need not wait for one less.
    look: called every second; folder: of the agents' logs and W&B's own files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # W&B's agents end at the third failure in their first minute unless told otherwise.
    more = {"WANDB_AGENT_DISABLE_FLAPPING": "true", "WANDB_AGENT_MAX_INITIAL_FAILURES": str(TROUBLE)}
    threads = {name: os.environ.get(name, "1") for name in THREAD_VARIABLES}
    environment = {"WANDB_DIR": str(folder.resolve()), "WANDB_RUN_GROUP": group} | dict(os.environ) | more | threads
    command = [sys.executable, "-m", *agent_command(sweep), "--max-consecutive-failed-runs", str(TROUBLE)]
    processes: list[subprocess.Popen] = []

    def start() -> None:
        with (folder / f"{sweep.rpartition('/')[2]}-agent{len(processes)}.log").open("wb") as output:
            processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT))

    replaced: set[int] = set()
    try:
        for _ in range(agents):
            start()
        while any(process.poll() is None for process in processes):
            time.sleep(1)
            killed = [each.pid for each in processes if (each.poll() or 0) < 0 and each.pid not in replaced]
            for number in killed[: agents - len(replaced)]:
                say(f"agent {number} was killed; another one takes its place")
                replaced.add(number)
                start()
            look()
    except BaseException:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        raise
