"""docs/checkpoints.md: its commands run, its keys and defaults are those of the configuration."""

import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from started_runs import done

from cptlab.config import Checkpoints
from cptlab.records.run import read_rows
from cptlab.training.checkpoint.signals import REQUEUE

PAGE = (Path(__file__).parents[3] / "docs" / "checkpoints.md").read_text("utf8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TRAINING = "import signal, sys\nsignal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))\nprint('trains', flush=True)\n"


def test_the_table_has_every_key_with_its_default():
    shown = dict(re.findall(r"^\| `checkpoint\.(\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    known = {field.name: str(field.default).lower() for field in fields(Checkpoints)}
    assert {name: float(value) if value.isdigit() else value for name, value in shown.items()} == {
        name: float(value) if value.replace(".", "").isdigit() else value for name, value in known.items()
    }


def test_the_same_command_goes_on_where_a_signal_stopped_it(study, command, tmp_path):
    first, again = (shlex.split(line, comments=True) for line in BLOCKS[0].splitlines())
    assert first == again
    assert first[:2] == ["python", "train.py"]
    overrides = [*study, "tokens=64000", "evaluation.points=9", f"runs={tmp_path}", *first[2:]]
    stopped = command(overrides)
    stopped.wait_for("evals.jsonl")
    while not any(row["step"] for row in read_rows(stopped.folder())):  # until it trains
        assert stopped.process.is_alive(), stopped.output()
        time.sleep(0.01)
    assert stopped.send(signal.SIGTERM) == REQUEUE, stopped.output()
    assert command(overrides).exit_code() == 0
    assert done(stopped.folder())["attempt"] == 2
    assert done(stopped.folder())["of_attempt"]["from_step"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_the_four_lines_of_the_batch_script_hand_the_job_in_again_after_the_signal(tmp_path):
    """With a program in the place of training that ends as it does, and a scontrol that says what it was given."""
    script = next(block for block in BLOCKS if "#SBATCH" in block)
    (tmp_path / "train.py").write_text(TRAINING + "signal.pause()\n")
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "scontrol $*"\n')
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "scontrol").chmod(0o755)

    def run(ask):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"}
        job = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        line = job.stdout.readline()
        if ask:
            job.send_signal(signal.SIGUSR1)
        return line + job.communicate(timeout=20)[0]

    assert run(ask=True) == "trains\nscontrol requeue 7\n"
    (tmp_path / "train.py").write_text(TRAINING)
    assert run(ask=False) == "trains\n"
