"""A study file through Hydra's multirun: the same points, records and refusals as through `cptlab sweep`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from known_studies import with_bases

from cptlab.sweeps.index import checked_points
from cptlab.sweeps.study import read_study

ROOT = Path(__file__).parents[2]


def train(*arguments):
    return subprocess.run([sys.executable, "train.py", *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.fixture
def grid(tmp_path):
    (tmp_path / "grid.yaml").write_text("axes: {mixture.domain_share: [0, 1]}\nfixed: {tokens: 1280}\n")
    return tmp_path


def test_the_points_of_a_study_file_are_trained_by_hydras_multirun(study, grid):
    own = [*study, "tokens=640", f"runs={grid}/runs"]
    done = train("-m", "hydra/sweeper=study", f"hydra.sweeper.file={grid}", *own)
    assert done.returncode == 0, done.stderr
    assert [line[:14] for line in done.stdout.splitlines()] == ["[1/2] finished", "[2/2] finished"]
    planned = checked_points(read_study(grid, own).points)
    records = [json.loads((point.path / "run.json").read_text()) for point in planned]
    assert [record["config"]["mixture"]["domain_share"] for record in records] == [0, 1]
    assert {record["tokens_total"] for record in records} == {640}  # the command line comes last
    assert len(list((grid / "runs").glob("*/run.json"))) == 2


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["-m"], "needs the study: hydra.sweeper.file="),
        (["-m", "hydra.sweeper.file={grid}", "seed=0,1"], "seed=0,1: with hydra/sweeper=study the file alone has axes"),
        (["-m", "hydra.sweeper.file={grid}/no"], "/no does not exist; give a study folder"),
        (["-m", "hydra.sweeper.file={grid}", "mixture.domain_shar=1"], "Did you mean mixture.domain_share?"),
        (["hydra.sweeper.file={grid}"], "hydra/sweeper=study is for many points; give -m too"),
    ],
)
def test_what_no_study_can_mean_is_one_sentence(study, grid, more, sentence):
    done = train("hydra/sweeper=study", *study, f"runs={grid}/runs", *(each.format(grid=grid) for each in more))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (grid / "runs").exists()


def test_a_law_that_cannot_be_fitted_is_told_before_anything_is_trained(study, grid):
    with (grid / "grid.yaml").open("a") as file:
        file.write("law: {law: dcpt, law.min_irreducibl: 0}\n")
    done = train("-m", "hydra/sweeper=study", f"hydra.sweeper.file={grid}", *study, f"runs={grid}/runs")
    assert done.returncode == 2
    assert "Did you mean law.min_irreducible?" in done.stderr
    assert not (grid / "runs").exists()


@pytest.mark.slow
def test_bases_that_are_missing_are_told_and_found_once_any_driver_has_trained_them(study, tmp_path):
    own = with_bases(tmp_path, study)
    sweep = ["-m", "hydra/sweeper=study", f"hydra.sweeper.file={tmp_path}", *own]
    refused = train(*sweep)
    assert refused.returncode == 2
    told = f"1 of its bases is not trained yet ({tmp_path}/bases/8): `cptlab sweep {tmp_path}/grid.yaml`"
    assert told in refused.stderr
    base = train("-m", "hydra/sweeper=study", f"hydra.sweeper.file={tmp_path}/bases.yaml")
    assert base.returncode == 0, base.stderr
    done = train(*sweep)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs").glob("*/done.json"))) == 2
