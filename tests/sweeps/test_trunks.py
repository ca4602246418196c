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
from cptlab.sweeps.index import checked_points
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.preflight import compose_point
from cptlab.sweeps.rates import of_records
from cptlab.sweeps.state import DONE, State
from cptlab.sweeps.study import read_study
from cptlab.sweeps.trunks import standing, with_branches
from cptlab.training.tracking import NoTracking

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
    between = write(tmp_path / "branched", study, budgets=[640, 960, 1280, 1920])
    text = run(capsys, "sweep", between, "--workers", "2")
    assert "mine trunks, piece 2: 2 trained" in text
    assert "mine trunks, piece 3" not in text  # what is there stays, though it would now follow another piece
    assert "mine: 2 trained, 6 skipped" in text


CONSTANT = {"lr_schedule": "constant", "lr_schedule.warmup_tokens": 128}


def write_constant(folder, study, **changes):
    """The same at constant LR, with a warm-up of two steps."""
    fixed = CONSTANT | changes.pop("fixed", {})
    file = write(folder, study, fixed=fixed, **changes)
    content = yaml.safe_load(file.read_text())
    del content["fixed"]["lr_schedule.decay_share"]
    file.write_text(yaml.safe_dump(content))
    return file


def steps_trained(runs):
    """{tokens: optimizer steps that its runs trained themselves}, of one share."""
    found = {}
    for folder in run_folders(str(runs)):
        facts = json.loads((folder / "run.json").read_text())
        if facts["config"]["mixture"]["domain_share"] == 0.25:
            own = facts["steps_total"] - (facts["branch"] or {"step": 0})["step"]
            found.setdefault(int(facts["config"]["tokens"]), []).append(own)
    return found


@pytest.mark.slow
def test_at_constant_lr_a_finished_run_is_what_a_longer_budget_goes_on_from(study, tmp_path, capsys):
    axes = {"mixture.domain_share": [0.25]}
    whole = write_constant(tmp_path / "whole", study, axes=axes, branches=False, budgets=[640, 960, 1280])
    run(capsys, "sweep", whole, "--workers", "2")
    wanted = numbers(tmp_path / "whole/runs")
    runs = tmp_path / "grid/runs"

    def sweep(*budgets):
        file = write_constant(tmp_path / "grid", study, axes=axes, budgets=list(budgets))
        run(capsys, "sweep", file, "--workers", "1")
        assert f"mine: {len(budgets)} points: {len(budgets)} done" in run(capsys, "status", file)
        assert f"mine: 0 trained, {len(budgets)} skipped" in run(capsys, "sweep", file, "--workers", "1")
        return steps_trained(runs)

    assert sweep(640) == {640: [10]}
    assert sweep(640, 1280) == {640: [10], 1280: [10]}
    got = numbers(runs)
    assert got[0.25, 640] == wanted[0.25, 640]
    assert got[0.25, 1280] == {key: row for key, row in wanted[0.25, 1280].items() if key[0] == 0 or key[0] > 10}
    assert sweep(640, 960, 1280) == {640: [10], 960: [5], 1280: [10]}  # the longer ones stay what they are
    assert sweep(640, 960, 1280, 1600) == {640: [10], 960: [5], 1280: [10], 1600: [5]}
    assert "1 trunk and 3 branches: " in run(capsys, "plan", tmp_path / "grid")
    assert sweep(1280, 1600) == {640: [10], 960: [5], 1280: [10], 1600: [5]}


def finish(file):
    """Records of the study's points as if they were trained; their folders."""
    folders = [point.path for point in checked_points(read_study(file, []).points)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "done.json").write_text('{"status": "finished"}')
    return folders


@pytest.mark.parametrize("kept", [False, True])
def test_at_constant_lr_nothing_follows_a_finished_run_that_kept_no_checkpoint(study, tmp_path, kept):
    axes = {"mixture.domain_share": [0.25]}
    [folder] = finish(write_constant(tmp_path, study, axes=axes, budgets=[640], branches=False))
    if kept:
        (folder / "checkpoints/step_10").mkdir(parents=True)
    longer = with_branches(read_study(write_constant(tmp_path, study, axes=axes, budgets=[640, 1280, 1920]), []))
    pieces = {piece.step: piece.before and piece.before.step for piece in longer.bases.all_pieces()}
    assert pieces == ({10: None, 20: 10} if kept else {20: None})
    left = [point[-1] for point in longer.points]  # the others are trained before, as pieces
    assert left == ["branch.step=20"] if kept else left == ["checkpoint.keep_finished=true", "branch.step=20"]


@pytest.mark.parametrize("name", ["plain", "it's"])
def test_points_that_were_trained_whole_stay_whole(study, tmp_path, name):
    tmp_path /= name
    finish(write(tmp_path, study, axes={"mixture.domain_share": [0.25]}, branches=False, budgets=[640]))
    branched = with_branches(read_study(write(tmp_path, study, budgets=[640, 1280, 1920]), []))
    left = [[text for text in point if text.startswith("branch.step=")] for point in branched.points]
    assert left == [[], ["branch.step=15"], ["branch.step=22"], ["branch.step=7"], ["branch.step=15"],
                    ["branch.step=22"]]  # fmt: skip
    assert sorted(piece.step for piece in branched.bases.all_pieces()) == [7, 15, 15, 22, 22]
    alone = with_branches(read_study(write(tmp_path, study, axes={"mixture.domain_share": [0.25]}), []))
    assert not alone.bases  # the longer one shares nothing then
    assert not any(text.startswith("branch.") for point in alone.points for text in point)


def test_a_piece_is_not_tracked_and_tracking_makes_no_other_trunks(study, tmp_path):
    def pieces(**fixed):
        branched = with_branches(read_study(write(tmp_path, study, fixed=fixed), []))
        return branched, branched.bases.all_pieces()

    _, silent = pieces()
    tracked, told = pieces(**{"tracking": "wandb", "tracking.project": "mine"})
    assert [piece.link for piece in told] == [piece.link for piece in silent]
    for piece in told:
        assert [text for text in piece.all_overrides if text.lstrip("+~").startswith("tracking")] == ["tracking=none"]
        assert isinstance(compose_point(piece.all_overrides).tracking, NoTracking)
    assert all("tracking=wandb" in point and "tracking.project=mine" in point for point in tracked.points)


@pytest.mark.parametrize("name", ["sp ace", "par (1)", "it's", "a=b", "a,b"])
def test_trunks_lie_beside_their_runs_whatever_the_folder_is_called(study, tmp_path, name):
    for given in (write(tmp_path / name, study), write_constant(tmp_path / name, study)):
        branched = with_branches(read_study(given, []))
        composed = [compose_point(piece.all_overrides) for piece in branched.bases.all_pieces()]
        folder = tmp_path / name / "runs"
        for piece, config in zip(branched.bases.all_pieces(), composed, strict=True):
            assert piece.link.parent == folder / ".trunks"
            assert Path(config.runs) == (folder if piece.is_point else folder / ".trunks")
            assert config.branch.run == (str(piece.before.link) if piece.before else "")
        left = {compose_point(point).branch.run for point in branched.points}
        assert left == {str(piece.link) for piece in branched.bases.all_pieces()}
        assert not standing(branched).points


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
        (
            {"fixed": {"lr_schedule": "cosine", "lr_schedule.decay_share": None}},
            "take constant, wsd, trapezoid or infinite",
        ),
        ({"budgets": [640]}, "points that differ in tokens or in their final decay"),
        ({"fixed": {"lr_schedule.decay_share": 1.0}}, "decays from its first step"),
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


@pytest.mark.slow
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
