"""The commands of docs/sources.md, run as a reader would type them."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from origins import log_to_wandb
from run_records import FACTS, write_run

from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.variants import discover_group

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/sources.md").read_text("utf8")
FENCES = re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [text.replace("\\\n", " ").strip() for kind, text in FENCES if not kind]
OWN = "mine/source/losses.yaml"


def loss(size: float, tokens: float, share: float) -> float:
    return 2 + size**-0.1 + (tokens / 1e3) ** -0.3 * (0.2 + share) ** -0.2


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the files that the page speaks of."""
    folder = tmp_path_factory.mktemp("home")
    lines = ["run,domain,num_params,tokens,r,base_loss,val_loss"]
    for size in (1e4, 3e4, 9e4):
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            for tokens in (1e3, 2e3, 4e3):
                for domain, own in (("code", share), ("prose", 1 - share)):
                    lines.append(f"{size:g}-{share},{domain},{size},{tokens},{share},3.5,{loss(size, tokens, own)!r}")
    (folder / "losses.csv").write_text("\n".join(lines) + "\n")
    (folder / "mine" / "source").mkdir(parents=True)
    assert OWN in PAGE
    (folder / OWN).write_text(next(text for kind, text in FENCES if kind == "yaml"))
    return folder


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    words = shlex.split(command)
    assert words[:2] == ["python", "fit_law.py"]
    quick = ["num_draws=20", "heldout=false", "report=false", "compare=false", f"out={folder}/out"]
    script = [sys.executable, str(ROOT / "fit_law.py"), *words[2:], *quick]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(script, capture_output=True, text=True, cwd=folder, env=env, timeout=120)


def test_a_column_map_of_the_command_line_and_one_of_a_yaml_file_give_one_answer(home):
    typed, own = (next(c for c in COMMANDS if key in c) for key in ("source.columns.loss", "--config-dir"))
    answers = []
    for command in (typed, own):
        done = run(command, home)
        assert done.returncode == 0, done.stderr
        answers.append((home / "out" / "fit.json").read_text())
        assert "90 rows of 15 runs" in done.stdout
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("val_loss", "val_los"), "has no column 'val_los'. Did you mean val_loss?"),
        (("columns.loss", "colums.loss"), "source.colums is no key of CSV. Did you mean source.columns?"),
        (("losses.csv", "loses.csv"), "source.path=loses.csv does not exist. Did you mean losses.csv?"),
    ],
)
def test_a_slip_in_the_column_map_is_one_sentence(home, change, message):
    command = next(c for c in COMMANDS if "source.columns.loss" in c)
    done = run(command.replace(*change, 1), home)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def records(home):
    """Run folders beside the file: `runs`, whose losses go on from the file's, and `curves`, of four schedules."""
    for i, share in enumerate((0.2, 0.4, 0.6, 0.8)):
        write_run(
            home / "runs", f"1{i}", (3, 5, 10),
            lambda step, share=share: {"code": loss(3e4, max(step, 1) * 100, share), "prose": loss(3e4, max(step, 1) * 100, 1 - share)},
            share,
        )  # fmt: skip
        write_run(home / "runs", f"2{i}", (3, 5, 10), lambda _: {"code": 3.0, "prose": 3.0}, share)
    for name in ("constant", "linear", "cosine", "wsd"):
        schedule = discover_group("lr_schedule")[name](warmup_tokens=200)
        rates = learning_rates(schedule, 1e-2, 100, 4000)
        area, anneal = lr_area(rates), anneal_area(rates)
        shift = 0.3 * (1 - (1 + 50 * np.append(area, 0)) ** -0.5)
        fall = (0.1 + np.append(area, 0)) ** -0.1 - 2 * np.append(anneal, 0)
        write_run(
            home / "curves", name, (3, 5, 9, 14, 20, 28, 40),
            lambda step, f=fall, s=shift: {"code": 2 + f[step - 1] - s[step - 1], "prose": 2 + f[step - 1] + s[step - 1]},
            areas=(area, anneal), lr_is_constant_after_warmup=schedule.is_constant, tokens_total=4000, steps_total=40,
            schedule={"variant": name, "warmup_tokens": 200}, peak_lr=1e-2,
            base=FACTS.base | {"tokens": 4000, "step": 40,
                               "lr_history": {"peak_lr": 1e-2, "schedule": {"variant": "wsd", "warmup_tokens": 200}}},
        )  # fmt: skip
    return home


def test_the_page_reads_runs_of_several_schedules_for_a_law_of_the_lr(records):
    command = next(c for c in COMMANDS if "cpt_dynamics" in c)
    done = run(command, records)
    assert done.returncode == 0, done.stderr
    assert "56 rows of 4 runs" in done.stdout
    assert all(entry["r2"] > 0.99 for entry in json.loads((records / "out" / "fit.json").read_text()))


def test_the_page_joins_runs_and_a_file(records):
    done = run(next(c for c in COMMANDS if "source=joined" in c), records)
    assert done.returncode == 0, done.stderr
    assert "114 rows of 19 runs" in done.stdout


def test_the_page_reads_a_project_of_wandb_and_then_its_copy(records, wandb_server):
    log_to_wandb(records / "runs", "cptlab")
    from_wandb, copy = (next(c for c in COMMANDS if key in c) for key in ("source=wandb", "wandb/cache"))
    answers = []
    for command in (from_wandb, copy):
        done = run(command, records)
        assert (done.returncode, done.stderr) == (0, "")
        answers.append((records / "out" / "fit.json").read_text())
    assert answers[0] == answers[1]
