import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cptlab.cli import main
from cptlab.errors import UserError
from cptlab.sweeps.preflight import check_points
from cptlab.sweeps.study import read_study
from cptlab.sweeps.wandb.drive import Place, drive, tracked
from cptlab.sweeps.wandb.spec import Search, spec

ROOT = Path(__file__).parents[3]
BLOCK = {"mixture.domain_share": ("0.2", "0.6"), "tokens": ("640", "6400"), "data.max_epochs": ("null",)}


def test_keys_stay_flat_and_dotted_and_the_command_passes_them_bare():
    content = spec("s", BLOCK, Search())
    assert content["parameters"] == {
        "mixture.domain_share": {"values": [0.2, 0.6]}, "tokens": {"values": [640, 6400]}, "data.max_epochs": {"value": "null"},
    }  # fmt: skip
    assert content["command"][0] == sys.executable
    assert content["command"][2] == "${args_no_hyphens}"
    assert Path(content["command"][1]).name == "train.py"


def test_a_search_draws_between_values_and_ends_hopeless_runs():
    search = Search("bayes", "loss/fit/code", 2, ("mixture.domain_share",), ("tokens",), 8)
    content = spec("s", BLOCK, search)
    assert content["parameters"]["mixture.domain_share"] == {"distribution": "uniform", "min": 0.2, "max": 0.6}
    assert content["parameters"]["tokens"] == {"distribution": "log_uniform_values", "min": 640.0, "max": 6400.0}
    assert content["metric"] == {"name": "loss/fit/code", "goal": "minimize"}
    assert content["early_terminate"] == {"type": "hyperband", "min_iter": 2, "eta": 3}
    assert content["run_cap"] == 8


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ({"method": "grd"}, r"--method is grd\. Did you mean grid\?"),
        ({"runs": 3}, "belong to --method random or bayes"),
        ({"method": "random", "between": ("token",)}, r"token is no key of the study\. Did you mean tokens\?"),
        ({"method": "random", "between": ("data.max_epochs",)}, r"has no range to draw from \(its values: null\)"),
    ],
)
def test_a_search_that_cannot_be_is_one_sentence(search, sentence):
    with pytest.raises(UserError, match=sentence):
        spec("s", BLOCK, Search(**search))


def test_bayes_and_hyperband_need_a_loss_that_is_logged():
    with pytest.raises(UserError, match=r"--method bayes needs --metric.*loss/fit/code"):
        Search("bayes").check(["code"])
    with pytest.raises(UserError, match=r"--metric loss/fit/cod is not logged\. Did you mean loss/fit/code\?"):
        Search(metric="loss/fit/cod").check(["code"])


def test_a_dry_run_prints_a_sweep_that_yaml_reads(study, tmp_path):
    (tmp_path / "grid.yaml").write_text("name: dry\naxes: {seed: [0, 1]}\nfixed: {data.max_epochs: null}\n")
    command = [
        sys.executable,
        "-m",
        "cptlab",
        "wandb-sweep",
        str(tmp_path),
        "--dry-run",
        *study,
        f"runs={tmp_path}/runs",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    content = yaml.safe_load(done.stdout[done.stdout.index("name: dry") :])
    assert content["parameters"]["seed"] == {"values": [0, 1]}
    assert content["parameters"]["data.max_epochs"] == {"value": "null"}
    assert content["parameters"]["tracking"] == {"value": "wandb"}
    assert not list(tmp_path.glob("runs/.agents"))


def test_a_point_is_the_same_run_whatever_sweep_hands_it_out(study, tmp_path, monkeypatch):
    point = [*study, f"runs={tmp_path}"]
    alone = check_points([point])[0].run_id
    monkeypatch.setenv("WANDB_SWEEP_ID", "sw1")
    (tmp_path / "grid.yaml").write_text("name: same\naxes: {seed: [0]}\n")
    handed_out = tracked(read_study(tmp_path, point), "elsewhere").points[0]
    assert check_points([handed_out])[0].run_id == alone


METRIC, SHARE = "loss/fit/sums", ("mixture.domain_share",)
SEARCHES = [Search(), Search("random", between=SHARE, runs=3), Search("bayes", METRIC, log=("tokens",), runs=3),
            Search("random", METRIC, 2, SHARE), Search("grid", METRIC, 1)]  # fmt: skip


@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: f"{s.method}{'-hyperband' * (s.hyperband > 0)}")
def test_wandb_sweep_takes_every_method_as_it_was_written(search, study, tmp_path, wandb_server, capsys):
    (tmp_path / "grid.yaml").write_text("name: taken\naxes: {mixture.domain_share: [0.2, 0.6], tokens: [640, 6400]}\n")
    point = [each for each in study if not each.startswith("tokens=")]
    found = tracked(read_study(tmp_path, [*point, f"runs={tmp_path}/runs"]), "methods")
    assert drive(found, search, Place()) == 0
    said = capsys.readouterr().out
    sweep = said.split("wandb agent ")[1].splitlines()[0].split()[-1]
    assert sweep.startswith("me/methods/")
    kept = wandb_server.sweeps[sweep.rpartition("/")[2]]
    (file,) = (tmp_path / "runs" / ".agents").glob("*.yaml")
    assert kept.config == yaml.safe_load(file.read_text())
    assert not any("parameters" in entry for entry in kept.config["parameters"].values())  # flat, so keys stay dotted
    first = [f"{key}={value}" for key, value in kept.waiting[0].items()]
    assert check_points([first])[0].config.tracking.project == "methods"  # what an agent passes, Hydra takes


def test_a_study_with_branches_is_refused_for_agents_would_train_whole_runs(study, tmp_path, capsys):
    file = tmp_path / "grid.yaml"
    file.write_text("branches: true\nbudgets: [640, 1280]\n")
    with pytest.raises(SystemExit) as ended:
        main(["wandb-sweep", str(file), *study, "--dry-run"])
    assert ended.value.code == 2
    assert "branches leave trunks that must be trained first" in capsys.readouterr().err
