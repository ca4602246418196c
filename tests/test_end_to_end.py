"""The whole path on made-up text: bases, a grid, the fit, the recommendation, the report."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.records.read_runs import Runs
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

ROOT = Path(__file__).parents[1]
SHARES = (0, 0.2, 0.5, 0.8, 1)


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


@pytest.fixture(scope="module")
def grid(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    for width in (8, 16, 24):
        size = [*study, f"model.width={width}", f"model.feed_forward={2 * width}", "optimizer.peak_lr=1e-2"]
        base = train([*size, f"runs={folder}/bases", "mixture=general_only", "tokens=12800", "lr_schedule=wsd"])
        for share in SHARES:
            more = [f"model.base_run={base}", f"runs={folder}/runs", f"mixture.domain_share={share}", "tokens=6400"]
            train([*size, *more, "evaluation.points=6"])
    return folder / "runs"


def test_records_become_one_table_with_measured_shares(grid):
    table = Runs(path=str(grid)).read().of_domain("sums")
    assert len(set(table.run)) == 15
    assert sorted({round(share, 1) for share in table["domain_share"].tolist()}) == [0, 0.2, 0.5, 0.8, 1]
    assert table["tokens"].min() >= 800  # an eighth of 6400
    learnt = table["loss"] - table["base_loss"]
    assert learnt[table["share"] == 1].max() < learnt[table["share"] == 0].min()


def test_the_grid_becomes_a_recommendation_with_its_command_and_report(grid, tmp_path):
    command = [sys.executable, "fit_law.py", f"source.path={grid}", "question.max_general_rise=0.05", "num_draws=50"]
    done = subprocess.run([*command, f"out={tmp_path}"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    answer = json.loads((tmp_path / "recommendation.json").read_text())
    assert answer["verdict"] in {"run", "measure_first", "abstain"}
    low, high = answer["interval"]["domain_share"]
    assert 0 <= low <= answer["choice"]["domain_share"] <= high <= 1
    assert set(answer["predicted"]) == {"prose", "sums"}
    assert f"mixture.domain_share={round(answer['choice']['domain_share'], 4):g}" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 10_000
    fits = json.loads((tmp_path / "fit.json").read_text())
    assert {entry["domain"] for entry in fits} == {"prose", "sums"}


def test_the_command_of_the_choice_trains_that_choice(grid, tmp_path):
    quick = ["num_draws=20", "heldout=false", "report=false", "compare=false"]
    command = [sys.executable, "fit_law.py", f"source.path={grid}", *quick]
    subprocess.run([*command, f"out={tmp_path}"], capture_output=True, text=True, cwd=ROOT, check=True)
    answer = json.loads((tmp_path / "recommendation.json").read_text())
    done = subprocess.run(
        answer["command"].replace("python ", f"{sys.executable} ", 1) + f" runs={tmp_path}/runs",
        capture_output=True, text=True, cwd=ROOT, shell=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(next((tmp_path / "runs").glob("*/run.json")).read_text())
    assert facts["config"]["mixture"]["domain_share"] == pytest.approx(answer["choice"]["domain_share"], abs=1e-4)


def test_too_few_runs_are_refused_with_the_number_that_is_missing(grid, tmp_path):
    some = ",".join(str(folder) for folder in sorted(grid.glob("[!.]*"))[:2])
    command = [sys.executable, "fit_law.py", f"source.path='{some}'", f"out={tmp_path}/out"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Add 1 run with another share" in done.stderr
    assert not (tmp_path / "out").exists()
