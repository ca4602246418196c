"""Plan and status of a study whose bases are not trained: theirs first, then its own points, figures for all."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from known_studies import with_bases

from cptlab.cli import main
from cptlab.errors import UserError
from cptlab.records.run import write_whole
from cptlab.sweeps.blocks import LATER, blocks_of
from cptlab.sweeps.index import checked_points
from cptlab.sweeps.planned import RECORD_BYTES
from cptlab.sweeps.state import State
from cptlab.sweeps.study import read_study
from cptlab.sweeps.watch import is_over

ROOT = Path(__file__).parents[2]


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return ended.value.code


def test_a_plan_counts_bases_that_are_not_trained_and_the_points_that_follow_them(study, tmp_path, capsys):
    own = with_bases(tmp_path, study, seeds=(0, 1))
    assert run("plan", tmp_path, "--gpu", "H200", "--price", "2", *own) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told if line.startswith("missing")] == ["missing"] * 3
    assert [LATER in line for line in told if line.startswith("missing")] == [False, True, True]
    assert "mine: still to train: 2 points, 1.28k tokens" in "\n".join(told)
    [sums] = [line for line in told if line.startswith("mine with its bases: still to train: 3 points, 1.92k tokens")]
    assert "price 0.00" in sums
    assert told[-1].startswith("time: from H200")
    assert not list((tmp_path / "runs").glob("*/run.json"))


def test_bases_that_a_command_makes_are_named_beside_the_plan(study, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(f"seeds: [0]\nbases: {{command: make x, makes: [{tmp_path}/b]}}\n")
    own = [*study, f"runs={tmp_path}/runs", f"model.base_run={tmp_path}/b"]
    assert run("plan", tmp_path, *own) == 0
    assert f"{tmp_path.name}: 1 base is not made yet, and no part of this: `make x`" in capsys.readouterr().out
    assert run("plan", tmp_path, "--probe", *own) == 2
    assert "1 of its bases is not trained yet" in capsys.readouterr().err


def test_a_size_that_a_missing_base_alone_knows_is_asked_for(study, tmp_path):
    (tmp_path / "grid.yaml").write_text(f"seeds: [0]\nbases: {{command: make x, makes: [{tmp_path}/b]}}\n")
    own = [each for each in study if not each.startswith("model.")]
    with pytest.raises(UserError, match=r"1 of its bases is not trained yet.*`make x`"):
        blocks_of(read_study(tmp_path, [*own, "model=pretrained", f"model.path={tmp_path}/b"]))


def test_a_watch_goes_from_the_bases_to_the_points_and_their_figures_were_right(study, tmp_path):
    own = with_bases(tmp_path, study, seeds=(0, 1))
    before = blocks_of(read_study(tmp_path, own))[-1].points
    command = [sys.executable, "-m", "cptlab"]
    watch = subprocess.Popen(
        [*command, "status", tmp_path, "--watch", "--every", "0.3", *own], cwd=ROOT, text=True, stdout=subprocess.PIPE
    )
    try:
        swept = subprocess.run([*command, "sweep", tmp_path, "--workers", "2", *own], cwd=ROOT, capture_output=True)
        assert swept.returncode == 0, swept.stderr
        told, _ = watch.communicate(timeout=60)
    finally:
        watch.kill()
    assert watch.returncode == 0
    lines = told.splitlines()
    assert lines[-1] == "mine: 2 points: 2 done"
    assert told.index("missing") < told.index(LATER)  # while the base is trained; then the points have their ids
    assert all(LATER not in line for line in lines[-3:])
    for early, opened in zip(before, checked_points(read_study(tmp_path, own).points), strict=True):
        assert replace(early, run_id=opened.run_id, folder=opened.folder) == opened


def test_a_watch_ends_where_a_point_has_failed_for_good_and_nothing_runs(study, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text("seeds: [0, 1]\n")
    own = [*study, f"runs={tmp_path}/runs"]
    ends = ({"status": "finished", "losses": {}, "seconds": 1.0}, {"status": "failed", "reason": "loss is nan"})
    for point, end in zip(checked_points(read_study(tmp_path, own).points), ends, strict=True):
        point.path.mkdir(parents=True)
        write_whole(point.path / "done.json", end)
    assert run("status", tmp_path, "--watch", "--every", "0.01", *own) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{tmp_path.name}: 2 points: 1 done, 1 failed"  # no time left


def test_a_trunk_that_fails_leaves_its_branches_alone_and_a_watch_ends(study, tmp_path, capsys):
    axes = "axes: {optimizer.peak_lr: [0.01, 1e30]}\nbudgets: [640, 1280]\nbranches: true\n"
    (tmp_path / "grid.yaml").write_text(f"name: mine\n{axes}fixed: {{lr_schedule: wsd, optimizer.clip: 0}}\n")
    own = [*(each for each in study if not each.startswith("tokens=")), f"runs={tmp_path}/runs"]
    assert run("plan", tmp_path, *own) == 0
    told = capsys.readouterr().out
    assert told.count(LATER) == 4 + 2  # branches, and the second piece of either trunk
    assert "mine with its bases: still to train: 8 points" in told
    assert run("sweep", tmp_path, "--workers", "2", "--retries", "0", *own) == 1
    capsys.readouterr()
    assert run("status", tmp_path, "--watch", "--every", "0.01", *own) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "mine: 4 points: 2 done, 2 failed"
    assert sum(line.endswith("its trunk failed") for line in told) == 2 + 1


def test_later_pieces_of_a_trunk_are_planned_with_the_checkpoint_that_they_keep(study, tmp_path):
    (tmp_path / "grid.yaml").write_text("budgets: [640, 1280, 2560]\nbranches: true\nfixed: {lr_schedule: wsd}\n")
    own = [*(each for each in study if not each.startswith("tokens=")), f"runs={tmp_path}/runs"]
    pieces = [point for block in blocks_of(read_study(tmp_path, own))[:-1] for point in block.points]
    assert [point.run_id == LATER for point in pieces] == [False, True, True]
    checkpoint = (pieces[0].disk - RECORD_BYTES) // 2  # one kept, one being written, no final weights
    assert [point.kept for point in pieces] == [checkpoint + RECORD_BYTES] * 3
    assert [point.path.parent for point in pieces] == [tmp_path / "runs" / ".trunks"] * 3


def test_what_is_missing_goes_on_unless_its_base_has_failed():
    done, failed, missing = State("done"), State("failed"), State("missing")
    assert is_over([[done, failed]], [True])
    assert is_over([[done], [done, failed]], [True, True])
    assert is_over([[failed], [missing]], [True, False])
    assert not is_over([[done, failed], [missing]], [True, True])  # branches of the trunk that did not fail
    for going in (missing, State("running"), State("interrupted")):
        assert not is_over([[done, failed, going]], [True])
    assert not is_over([[done], [missing]], [True, False])


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1", "1e300"])
@pytest.mark.parametrize("more", [["--watch"], []])
def test_looks_that_never_come_are_refused(study, tmp_path, capsys, seconds, more):
    (tmp_path / "grid.yaml").write_text("seeds: [0]\n")
    assert run("status", tmp_path, *more, f"--every={seconds}", *study, f"runs={tmp_path}/runs") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: --every is {float(seconds):g}; it must be above 0 seconds, and a day at most")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("--price -3", "--price is -3; it must be 0 or more"),
        ("--price nan", "--price is nan; it must be 0 or more"),
        ("--price inf", "--price is inf; it must be 0 or more"),
        ("--mfu .5", "give --gpu too"),
        ("--gpu H200 --probe", "give one of them"),
        ("--gpu H200 --mfu 0", "--mfu is 0"),
    ],
)
def test_what_a_plan_would_leave_out_of_account_is_refused(study, tmp_path, capsys, given, sentence):
    (tmp_path / "grid.yaml").write_text("seeds: [0]\n")
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(tmp_path), *given.split(), *study, f"runs={tmp_path}"])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
