"""`branches: true`: what budgets share is trained once, and the branches are the whole runs, bit by bit."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from cptlab.cli import main
from cptlab.errors import UserError
from cptlab.records.run import read_rows
from cptlab.records.run_folders import run_folders
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.rates import of_records
from cptlab.sweeps.state import DONE, State
from cptlab.sweeps.study import read_study
from cptlab.sweeps.trunks import with_branches

ROOT = Path(__file__).parents[2]
SAME = ("tokens_seen", "tokens_by_corpus", "lr", "lr_area", "anneal_area", "loss_sum")


def write(folder, study, **changes):
    """Two shares x 10 and 20 steps of 64 tokens under WSD, a quarter of them decaying."""
    fixed = {key: yaml.safe_load(value) for key, value in (text.split("=", 1) for text in study)}
    fixed["model.base_run"] = ""  # read as null
    del fixed["tokens"]
    fixed |= {"lr_schedule": "wsd", "lr_schedule.decay_share": 0.25, "optimizer.peak_lr": 0.01,
              "save_model": False, "runs": str(folder / "runs")}  # fmt: skip
    content = {"name": "mine", "fixed": fixed, "axes": {"mixture.domain_share": [0.25, 0.75]},
               "budgets": [640, 1280], "branches": True}  # fmt: skip
    content |= {key: value for key, value in changes.items() if key != "fixed"}
    content["fixed"] = fixed | changes.get("fixed", {})
    folder.mkdir(exist_ok=True)
    (folder / "grid.yaml").write_text(yaml.safe_dump(content))
    return folder / "grid.yaml"


def run(capsys, *arguments):
    """What a command that ends well prints."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    return printed.out


def numbers(runs):
    """{(share, tokens): {(step, corpus, split): numbers}} of the finished runs right in a folder."""
    found = {}
    for folder in run_folders(str(runs)):
        config = json.loads((folder / "run.json").read_text())["config"]
        rows = {(row["step"], row["domain"], row["split"]): [row[name] for name in SAME] for row in read_rows(folder)}
        found[config["mixture"]["domain_share"], int(config["tokens"])] = rows
    return found


def test_exits_are_the_last_steps_before_the_decay_and_pieces_of_a_trunk_follow_each_other(study, tmp_path):
    branched = with_branches(read_study(write(tmp_path, study), []))
    # 10 steps decay after 480 tokens = 7.5 steps, 20 after 960 = 15
    assert [point[-1] for point in branched.points] == ["branch.step=7", "branch.step=15"] * 2
    pieces = branched.bases.all_pieces()
    assert sorted((piece.step, piece.before and piece.before.step) for piece in pieces if piece.before) == [(15, 7)] * 2
    assert [piece.step for piece in pieces if not piece.before] == [7, 7]
    longer = with_branches(read_study(write(tmp_path, study, budgets=[640, 960, 1280]), []))
    assert {piece.link for piece in pieces} < {piece.link for piece in longer.bases.all_pieces()}  # one more exit
    assert longer.points[0] == branched.points[0]
    assert longer.points[2] == branched.points[1]


def test_decays_of_one_length_leave_one_trunk_and_what_shares_nothing_is_trained_whole(study, tmp_path):
    decays = {"lr_schedule.decay": ["linear", "1-sqrt"], "lr_schedule.decay_share": [0.25, 0.5]}
    file = write(tmp_path, study, axes=decays, budgets=[640])
    content = yaml.safe_load(file.read_text())
    del content["fixed"]["lr_schedule.decay_share"]
    file.write_text(yaml.safe_dump(content))
    branched = with_branches(read_study(file, []))
    assert sorted(piece.step for piece in branched.bases.all_pieces()) == [5, 7]
    assert sorted(point[-1] for point in branched.points) == ["branch.step=5"] * 2 + ["branch.step=7"] * 2
    alone = {"model.width": 16, "tokens": 640}
    branched = with_branches(read_study(write(tmp_path, study, points=[alone]), []))
    assert not any(text.startswith("branch.") for text in branched.points[-1])
    assert len(branched.bases.all_pieces()) == 4


@pytest.mark.slow
def test_branches_of_a_sweep_are_the_whole_runs_and_the_same_command_trains_nothing_again(study, tmp_path, capsys):
    whole, grid = write(tmp_path / "whole", study, branches=False), write(tmp_path / "branched", study)
    run(capsys, "sweep", whole, "--workers", "2")
    # 15 shared steps + 3 + 5 of 30, for each share
    assert "2 trunks and 4 branches: " in (text := run(capsys, "plan", grid))
    assert "77% of 4 whole runs" in text
    assert "mine trunks: 2 points: 2 missing" in run(capsys, "status", grid)
    text = run(capsys, "sweep", grid, "--workers", "2")
    assert "mine trunks: 2 trained" in text
    assert "mine trunks, piece 2: 2 trained" in text
    assert "mine: 4 trained" in text
    kept, wanted = numbers(tmp_path / "branched/runs"), numbers(tmp_path / "whole/runs")
    assert set(kept) == set(wanted) == {(0.25, 640), (0.25, 1280), (0.75, 640), (0.75, 1280)}
    for point, rows in kept.items():
        exit_ = {640: 7, 1280: 15}[point[1]]
        assert {step for step, _, _ in rows} == {0} | {step for step, _, _ in wanted[point] if step > exit_}
        assert all(wanted[point][key] == row for key, row in rows.items())
    assert "mine: 4 points: 4 done" in run(capsys, "status", grid)
    assert "mine: 0 trained, 4 skipped" in run(capsys, "sweep", grid)
    assert "all: 4 points, 1.02k tokens" in run(capsys, "plan", grid)  # 2 x (3 + 5) x 64, the trunks' left out

    longer = write(tmp_path / "branched", study, budgets=[640, 1280, 1920])
    text = run(capsys, "sweep", longer, "--workers", "2")
    assert "mine trunks, piece 3: 2 trained" in text
    assert "mine: 2 trained, 4 skipped" in text


def test_the_speed_of_a_branch_is_that_of_its_own_steps(tmp_path):
    point = PlannedPoint("id", str(tmp_path), [], 10, 20, 1280, 20, 64, 100.0, 0, 0, 0, 1, 1, False, "fp32", left_at=15)
    assert point.flops == 100 * 5 * 64
    whole = of_records([point], [State(DONE, seconds=2.0, from_step=15)])
    assert whole.seconds(point) == pytest.approx(2.0)
    resumed = of_records([point], [State(DONE, seconds=1.0, from_step=16)])  # 4 of its 5 steps
    assert resumed.seconds(point) == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fixed": {"lr_schedule": "cosine", "lr_schedule.decay_share": None}}, "wsd, trapezoid or infinite"),
        ({"budgets": [640]}, "points that differ in tokens or in their final decay"),
        ({"fixed": {"lr_schedule.decay_share": 1.0}}, "decays from its first step"),
        (
            {"fixed": {"lr_schedule": "constant", "lr_schedule.decay_share": None}},
            "every shorter budget is a row of the",
        ),
        ({"branches": "yes please"}, "must be true or false"),
        ({"fixed": {"branch.run": "runs/other"}}, "drop branch.run"),
    ],
)
def test_what_cannot_be_branches_is_refused(changes, words, study, tmp_path):
    if changes.get("fixed", {}).get("lr_schedule") == "cosine":
        study = [*study, "lr_schedule.floor=0"]
    file = write(tmp_path, study, **changes)
    content = yaml.safe_load(file.read_text())
    content["fixed"] = {key: value for key, value in content["fixed"].items() if value is not None}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=words):
        with_branches(read_study(file, []))


def test_a_mixture_that_depends_on_the_length_is_refused_before_its_trunk_is_trained(study, tmp_path, capsys):
    fixed = {"mixture": "ramp", "mixture.start": 0.1, "mixture.end": 0.9}
    file = write(tmp_path, study, fixed=fixed, axes={"optimizer.weight_decay": [0.0, 0.1]})
    with pytest.raises(SystemExit):
        main(["sweep", str(file)])
    assert "mixture=ramp with replay=" in (text := capsys.readouterr().err)
    assert "changes along the run" in text
    assert not list((tmp_path / "runs").rglob("run.json"))


def test_a_trunk_that_fails_takes_its_own_branches_alone(study, tmp_path, capsys):
    file = write(tmp_path, study, axes={"optimizer.peak_lr": [0.01, 1e30]}, fixed={"mixture.domain_share": 0.5})
    content = yaml.safe_load(file.read_text())
    del content["fixed"]["optimizer.peak_lr"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(file), "--workers", "2"])
    text = capsys.readouterr().out
    assert ended.value.code == 1
    assert "mine: 2 points have no trunk, for it failed" in text
    assert "mine: 2 trained, 0 skipped, 0 failed" in text
    assert "time: from a probe of 20 steps" in run(capsys, "plan", file, "--probe")  # of what stands


@pytest.mark.slow
def test_a_piece_that_was_stopped_and_went_on_keeps_its_exit(study, tmp_path):
    """Ctrl-C saves between exits; the same command goes on, and branches leave where they are to."""
    file = write(tmp_path, study, budgets=[640, 64000], axes={"mixture.domain_share": [0.5]},
                 fixed={"evaluation.points": 1})  # fmt: skip
    command = [sys.executable, "-m", "cptlab", "sweep", str(file), "--workers", "1"]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while (
        len(list((tmp_path / "runs/.trunks").glob("*/lock.json")))
        + len(list((tmp_path / "runs/.trunks").glob("*/done.json")))
        < 3
        and time.monotonic() < end
    ):  # two names of the first piece, the second in training
        time.sleep(0.02)
    time.sleep(0.5)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 75
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mine: 2 trained, 0 skipped, 0 failed" in done.stdout
