import pytest

from cptlab.errors import UserError
from cptlab.sweeps.lines import outcome_line
from cptlab.sweeps.local_agent import run_points
from cptlab.sweeps.preflight import check_points, compose_point, expand
from cptlab.sweeps.study import read_study


def write(tmp_path, text):
    file = tmp_path / "grid.yaml"
    file.write_text(text)
    return file


def test_axes_multiply_and_points_are_added(tmp_path):
    file = write(tmp_path, "fixed: {tokens: 1e6}\naxes: {seed: [0, 1], replay: [none, fixed]}\npoints: [{seed: 7}]\n")
    assert read_study(file, ["runs=x"]).points == [
        ["tokens=1e6", "seed=0", "replay=none", "runs=x"],
        ["tokens=1e6", "seed=0", "replay=fixed", "runs=x"],
        ["tokens=1e6", "seed=1", "replay=none", "runs=x"],
        ["tokens=1e6", "seed=1", "replay=fixed", "runs=x"],
        ["tokens=1e6", "seed=7", "runs=x"],
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("axis: {seed: [0]}", r"axis is no key of a study\. Did you mean axes\?"),
        ("axes: {seed: 0}", r"axes\.seed must be a list"),
        ("axes: {seed: [0, 0]}", r"points 1 and 2 of 2 are the same \(seed=0\)"),
        ("name: x", "has no points"),
        ("- 1", "must be a mapping"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_malformed_grid_is_refused(tmp_path, text, sentence):
    with pytest.raises(UserError, match=sentence):
        read_study(write(tmp_path, text), [])


def test_a_multirun_expands_as_hydra_does_and_its_bad_point_is_named(study):
    points = expand([*study, "mixture.domain_share=0.1,0.2,1.4"])
    assert len(points) == 3
    with pytest.raises(UserError, match=r"mixture\.domain_share is 1\.4.*point 3 of 3.*nothing was started"):
        check_points(points)


@pytest.mark.slow
def test_a_grid_runs_in_two_processes_and_a_failing_point_stops_no_other(study, tmp_path, capsys):
    points = [
        [*study, f"runs={tmp_path}", f"mixture.domain_share={share}", *more]
        for share, more in ((0, []), (0.5, ["optimizer.peak_lr=1e30", "optimizer.clip=0"]), (1, []))
    ]
    outcomes = run_points(points, workers=2)
    assert sorted(o.status for o in outcomes) == ["failed", "finished", "finished"]
    assert {o.status for o in run_points([points[0], points[2]], workers=2)} == {"skipped"}
    out = capsys.readouterr().out
    assert "[3/3]" in out
    assert "FAILED" in out
    assert "finished already" in out


def test_the_line_of_a_point_says_how_long_the_rest_takes(tmp_path):
    from cptlab.training.outcome import Outcome

    outcome = Outcome("ab", tmp_path, "finished", "", {"law": 2.5}, 12.0)
    assert outcome_line(outcome, 2, 6, 30.0) == f"[2/6] finished {tmp_path} in 12 s  law 2.5000  (1 min 00 s left)"


def test_a_composed_point_is_typed(study):
    config = compose_point([*study, "tokens=1e4"])
    assert config.tokens_total == 9984  # whole steps of 64 tokens
