"""One run's record: potential, drift, kurtosis, what was kept beside the losses."""

import json

import numpy as np
import pytest
from known_runs import FACTS, write_diagnostics, write_run

from cptlab.errors import UserError
from cptlab.metrics.diagnostics import drift, read_diagnostics
from cptlab.metrics.of_run import metrics_of
from cptlab.metrics.potential import loss_potential, potential_of_base, potential_of_run
from cptlab.records.base_areas import base_areas
from cptlab.records.run_folders import load_run

LOSSES = {0: {"prose": 2.0, "law": 4.0}, 5: {"prose": 2.4, "law": 3.5}, 10: {"prose": 2.2, "law": 3.0}}


def test_the_potential_is_the_last_rate_over_the_highest():
    assert loss_potential(np.array([0.0, 2.0, 1.0, 0.5]), 2.0) == 0.25
    facts = vars(FACTS)
    assert potential_of_run(facts) == pytest.approx(0.25)  # WSD down to its floor
    assert potential_of_base(facts["base"]) == pytest.approx(0.1)  # cosine down to its floor
    assert potential_of_base({"kind": "pretrained"}) is None
    assert potential_of_run(facts | {"schedule": {"variant": "of another version"}}) is None
    other = {"peak_lr": 1e-2, "schedule": {"variant": "of another version"}}
    assert potential_of_base(facts["base"] | {"lr_history": other}) is None


WSD = {"variant": "wsd", "decay_share": 0.5}
DECLARED = {"peak_lr": 1e-2, "tokens": 640, "tokens_total": 1280, "tokens_per_step": 64, "schedule": WSD}


def test_the_potential_of_an_open_base_is_that_of_the_history_that_was_declared(tmp_path):
    """10 of 20 steps were trained, and a WSD of half its tokens decays from the 11th on: 1. All 20: its floor, 0."""
    open_model = {"kind": "pretrained", "weights_sha256": "w", "lr_history": DECLARED}  # neither tokens nor step
    run = load_run(write_run(tmp_path, "a", LOSSES, base=open_model))
    assert metrics_of(run).base_potential == base_areas(run.facts["base"])["base_potential"] == 1
    assert potential_of_base(open_model | {"lr_history": DECLARED | {"tokens": 1280}}) == pytest.approx(0)
    bare = load_run(write_run(tmp_path, "b", LOSSES, base=open_model | {"lr_history": None}))
    assert metrics_of(bare).base_potential is None
    assert metrics_of(bare, base_history=DECLARED).base_potential == 1


def test_drift_is_a_relative_frobenius_norm_and_adds_up_in_squares():
    found = drift({"block 0": {"change_sq": 9.0, "base_sq": 100.0, "numel": 4}, "head": {"change_sq": 16.0, "base_sq": 300.0, "numel": 12}})  # fmt: skip
    assert found["block 0"]["relative"].value == pytest.approx(0.3)
    assert found["block 0"]["rms"].value == pytest.approx(1.5)
    assert found["all"]["relative"].value == pytest.approx((25 / 400) ** 0.5)
    assert found["all"]["rms"].value == pytest.approx(1.25)


def test_a_run_in_numbers(tmp_path):
    folder = write_run(tmp_path, "a", LOSSES, se=0.01)
    found = metrics_of(load_run(folder))
    assert found.losses["prose"].forgetting.value == pytest.approx(0.2)
    assert found.losses["law"].change.value == pytest.approx(-1.0)
    assert found.gaps["prose"].depth.value == pytest.approx(0.4)
    assert found.shares == {"prose": 0.75, "law": 0.25}
    assert (found.potential, found.base_potential) == (pytest.approx(0.25), pytest.approx(0.1))
    assert found.diagnostics is None
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["corpora"]["law"]["loss"] == {"value": 3.0, "se": 0.01, "unit": "nat/token"}
    assert content["corpora"]["prose"]["stability_gap"]["bottom_step"] == 5


def test_what_was_kept_beside_the_losses_is_read_last_attempt_first(tmp_path):
    folder = write_run(tmp_path, "a", LOSSES)
    gram = np.eye(4).tolist()
    rows = {"prose": {"sums": [5.0, 5.0], "counts": [5, 5]}}
    write_diagnostics(folder, [
        {"step": 0, "row_losses": rows, "kurtosis": {"prose": {"mean": [3.0], "se": [0.1]}}},
        {"step": 10, "weight_drift": {"head": {"change_sq": 1.0, "base_sq": 4.0, "numel": 1}}, "attempt": 1},
        {"step": 10, "weight_drift": {"head": {"change_sq": 4.0, "base_sq": 4.0, "numel": 1}}, "attempt": 2,
         "gradients": {"corpora": ["prose", "law"], "gram": gram}, "kurtosis": {"prose": {"mean": [5.0], "se": [0.2]}}},
    ])  # fmt: skip
    with (folder / "diagnostics.jsonl").open("a") as handle:
        handle.write('{"step": 1')  # a crash
    found = read_diagnostics(folder)
    assert found.drift["head"]["relative"].value == 1.0
    assert [(step, tokens) for step, tokens, _ in found.alignments] == [(10, 1000)]
    assert (found.base_kurtosis["prose"][0].value, found.kurtosis["prose"][0].value) == (3.0, 5.0)
    np.testing.assert_array_equal(found.rows["prose"].counts, [5, 5])
    names, tokens, values = found.drift_curve
    assert (names, tokens.tolist(), values.tolist()) == (["head", "all"], [1000], [[1.0, 1.0]])
    json.dumps(metrics_of(load_run(folder)).to_json(), allow_nan=False)


def test_a_damaged_line_is_named(tmp_path):
    folder = write_run(tmp_path, "a", LOSSES)
    (folder / "diagnostics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(UserError, match=r"diagnostics\.jsonl: line 1 is no line of diagnostics"):
        read_diagnostics(folder)
    assert read_diagnostics(tmp_path) is None


def test_a_split_that_was_not_measured_is_refused(tmp_path):
    run = load_run(write_run(tmp_path, "a", LOSSES))
    with pytest.raises(UserError, match=r"has no row of split tst\.|has no row of split test"):
        metrics_of(run, "test")
