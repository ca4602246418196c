"""`cptlab sweep --adaptive` on models of a few hundred parameters: what it trains, where it stops, after SIGKILL too."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cptlab.cli import main

ROOT = Path(__file__).parents[2]


def write_study(folder, study, **changes):
    """Two widths x 3 shares x 2 seeds, each width from a base of its own beside `folder`; the place of the runs."""
    fixed = {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in study)}
    fixed |= {"lr_schedule": "constant", "optimizer.peak_lr": 0.003, "runs": str(folder / "runs"), "tokens": 1920}
    del fixed["model.width"]
    base = {"model.base_run": "", "mixture": "general_only", "tokens": 6400, "optimizer.peak_lr": 0.01}
    bases = {"name": "bases", "fixed": fixed | base, "axes": {"model.width": [8, 12]}}
    grid = {
        "name": "mine", "law": "dcpt", "question": {"question": "tradeoff", "question.max_general_rise": 0.05},
        "bases": {"grid": "bases.yaml", "as": f"{folder.parent}/bases/w{{model.width}}"},
        "fixed": fixed | {"model.base_run": f"{folder.parent}/bases/w${{.width}}", "evaluation.points": 6},
        "axes": {"model.width": [12, 8], "mixture.domain_share": [0, 0.5, 1]}, "seeds": [0, 1],
    } | changes  # fmt: skip
    grid["fixed"] = {key: value for key, value in grid["fixed"].items() if key not in grid["axes"]}
    folder.mkdir(exist_ok=True)
    (folder / "bases.yaml").write_text(yaml.safe_dump(bases))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    return folder / "runs"


def arguments(folder, *more):
    return ["sweep", "--adaptive", str(folder / "grid.yaml"), "--workers", "2", *more]


def sweep(folder, *more):
    """What the command prints, run in this process, which has loaded what it imports."""
    printed = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main(arguments(folder, *more))
    assert ended.value.code == 0, printed.getvalue()
    return printed.getvalue()


def chosen(runs):
    """(share, seed) of each round, as written down."""
    (file,) = (runs / ".plan").glob("adaptive-*.json")
    return [[(p["share"], p["seed"]) for p in points] for points in json.loads(file.read_text())["rounds"]]


def trained(runs):
    """(width, share, seed) of the finished runs from a base."""
    found = []
    for done in runs.glob("*/done.json"):
        facts = json.loads((done.parent / "run.json").read_text())
        if json.loads(done.read_text())["status"] == "finished" and facts["base"]["kind"] != "scratch":
            config = facts["config"]
            found.append((config["model"]["width"], config["mixture"]["domain_share"], facts["seed"]))
    return sorted(found)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ends what it forked by PR_SET_PDEATHSIG")
def test_a_killed_adaptive_sweep_goes_on_with_the_same_choices(study, tmp_path):
    budget = ["--budget", str(4.5 * 6 * (4 * 12 * 12 + 3 * 12 * 16 + 3 * 12) * 1920)]  # four runs at the larger size
    whole, cut = write_study(tmp_path / "whole", study), write_study(tmp_path / "cut", study)
    text = sweep(tmp_path / "whole", *budget)
    assert "the budget is spent" in text
    assert [len(points) for points in chosen(whole)] == [3, 1]
    assert trained(whole) == sorted((12, *each) for points in chosen(whole) for each in points)
    assert [file.name for file in (tmp_path / "bases").iterdir()] == ["w12"]  # no base of the other size

    printed = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        main(["status", "--adaptive", str(tmp_path / "whole")])
    assert "mine: 4 points: 4 done" in printed.getvalue()  # the chosen ones, not the 12 of the grid

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    command = [sys.executable, "-m", "cptlab", *arguments(tmp_path / "cut", *budget)]
    first, end = subprocess.Popen(command, cwd=ROOT, **quiet), time.monotonic() + 240
    while len(trained(cut)) < 2 and first.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert len(trained(cut)) < 4
    sweep(tmp_path / "cut", *budget)
    assert chosen(cut) == chosen(whole)
    assert trained(cut) == trained(whole)

    assert "enough: domain_share" in sweep(tmp_path / "whole", "--tolerance", "0.499")  # and the budget of the grid
    more = trained(whole)
    assert set(trained(cut)) <= set(more)
    again = sweep(tmp_path / "whole", "--tolerance", "0.499")
    assert "enough: domain_share" in again
    assert "trained, " not in again.replace("0 trained, ", "")
    assert trained(whole) == more


@pytest.mark.parametrize(
    ("changes", "flags", "words"),
    [
        ({"axes": {"seed": [0, 1]}, "seeds": None}, [], "has no mixture.domain_share"),
        ({"axes": {"mixture.domain_share": [0, 1], "optimizer.peak_lr": [1e-3, 1e-2], "model.width": [8]}}, [],
         "differ in optimizer.peak_lr beside the share"),
        ({"question": {"question": "compute_optimal", "question.flops": 1e15}}, [], "chooses no share"),
        ({"question": {"question": "tradeoff", "question.num_params": 1e6}}, [], "question.num_params is 1,000,000"),
        ({}, ["--budget", "1e3"], "the 3 runs of the start cost"),
        ({}, ["--budget", "nan"], "--budget is nan; it must be above 0"),
        ({}, ["--count", "0"], "--count is 0"),
        ({}, ["--tolerance", "0.5"], "--tolerance is 0.5"),
        ({}, ["--dry-run"], "drop --dry-run"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_before_anything_is_trained(changes, flags, words, study, tmp_path, capsys):
    runs = write_study(tmp_path, study, **changes)
    if "axes" in changes and "model.width" not in changes["axes"]:
        grid = yaml.safe_load((tmp_path / "grid.yaml").read_text())
        grid["fixed"]["model.width"] = 8
        (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    with pytest.raises(SystemExit) as ended:
        main(["sweep", "--adaptive", str(tmp_path), *flags])
    text = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in text, text
    assert len(text.strip().splitlines()) == 1
    assert not list(runs.glob("*/run.json"))


@pytest.mark.slow
def test_a_grid_with_a_tolerance_ends_where_its_answer_is_narrow_enough(study, tmp_path, monkeypatch):
    monkeypatch.setattr("cptlab.design.enough.SPENT", 0)  # looks after each point, however slow this machine is
    axes = {"model.width": [12], "mixture.domain_share": [round(0.1 * i, 1) for i in range(10, -1, -1)]}
    runs = write_study(tmp_path, study, axes=axes, seeds=None)

    def run(*more):
        printed = io.StringIO()
        with contextlib.chdir(ROOT), contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
            main(["sweep", str(tmp_path / "grid.yaml"), "--workers", "1", *more])
        assert ended.value.code == 0, printed.getvalue()
        return printed.getvalue()

    text = run("--tolerance", "0.499")
    assert "enough: domain_share" in text
    assert " points were not needed (without --tolerance the same command trains them)" in text
    first = trained(runs)
    assert len({share for _, share, _ in first}) >= 5  # below, no interval is believed
    assert len(first) < 11
    assert "0 trained" in run("--tolerance", "0.499")
    assert trained(runs) == first


def test_a_tolerance_where_nothing_can_be_fitted_yet_stops_nothing(study, tmp_path, monkeypatch):
    """The first points fail or share one LR, which the law cannot be fitted to: the grid goes on."""
    monkeypatch.setattr("cptlab.design.enough.SPENT", 0)
    runs = write_study(tmp_path, study, axes={"model.width": [12], "mixture.domain_share": [0.5, 0]}, seeds=[0])
    printed = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as ended:
        main(["sweep", str(tmp_path / "grid.yaml"), "--tolerance", "0.1"])
    assert ended.value.code == 0, printed.getvalue()
    assert len(trained(runs)) == 2


@pytest.mark.parametrize(
    ("changes", "flags", "words"),
    [
        ({"question": None}, ["--tolerance", "0.1"], "has no question"),
        (
            {"question": {"question": "what_if", "question.points": [{"domain_share": 0.3}]}},
            ["--tolerance", "0.1"],
            "chooses nothing",
        ),
        ({}, ["--tolerance", "0.1", "--workers", "-1"], "--workers is -1"),
    ],
)
def test_a_tolerance_without_a_question_is_refused(changes, flags, words, study, tmp_path, capsys):
    write_study(tmp_path, study, **changes)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(tmp_path), *flags])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_the_status_of_what_is_not_begun_says_how_to_begin(study, tmp_path, capsys):
    write_study(tmp_path, study)
    with pytest.raises(SystemExit):
        main(["status", "--adaptive", str(tmp_path)])
    assert "nothing is chosen yet; `cptlab sweep --adaptive" in capsys.readouterr().err


def test_an_option_of_choosing_without_choosing_is_refused(study, tmp_path, capsys):
    write_study(tmp_path, study)
    with pytest.raises(SystemExit):
        main(["sweep", str(tmp_path), "--budget", "1e9"])
    assert "--budget is for choosing runs; give --adaptive too" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["sweep", "--adaptive"], ["next"]], ids=["sweep", "next"])
def test_a_study_from_random_weights_is_refused_before_anything_is_trained(study, tmp_path, capsys, command):
    runs = write_study(tmp_path / "mine", study)
    grid = yaml.safe_load((tmp_path / "mine" / "grid.yaml").read_text())
    del grid["bases"]
    grid["fixed"]["model.base_run"] = ""
    (tmp_path / "mine" / "grid.yaml").write_text(yaml.safe_dump(grid))
    with pytest.raises(SystemExit) as ended:
        main([*command, str(tmp_path / "mine")])
    assert ended.value.code == 2
    assert "its points start from random weights" in capsys.readouterr().err
    assert not runs.exists()
