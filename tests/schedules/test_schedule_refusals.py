"""What does not fit is refused by name, before anything is trained."""

import pytest

from cptlab.errors import UserError
from cptlab.schedules.area import anneal_area
from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.cosine_restarts import CosineRestarts
from cptlab.schedules.infinite import Infinite
from cptlab.schedules.inverse_sqrt import InverseSqrt
from cptlab.schedules.piecewise import Piecewise
from cptlab.schedules.rewarm import Rewarm
from cptlab.schedules.trapezoid import Trapezoid
from cptlab.schedules.wsd import WSD
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: WSD(decay_share=1.2), r"lr_schedule\.decay_share is 1\.2; it must lie in \[0, 1\].*longer than the run"),
        (lambda: WSD(decay="sqrt"), r"lr_schedule\.decay is sqrt\. Did you mean 1-sqrt\?"),
        (lambda: WSD(decay="exponential"), r"decay=exponential never reaches 0; give lr_schedule\.floor"),
        (lambda: Cosine(floor=-0.1), r"lr_schedule\.floor is -0\.1"),
        (lambda: Cosine(floor=1.5), r"lr_schedule\.floor is 1\.5.*above the peak"),
        (lambda: Constant(warmup_tokens=-1), r"lr_schedule\.warmup_tokens is -1"),
        (lambda: Constant(warmup_tokens=200).check(100), r"warmup_tokens is 200 but the run has only tokens=100"),
        (lambda: WSD(warmup_tokens=60, decay_share=0.5).check(100), r"overlap"),
        (lambda: Trapezoid(decay_tokens=200).check(100), r"decay 200 tokens overlap in a run of tokens=100"),
        (lambda: Infinite(constant=0.1, floor=0.2), r"floor at most constant"),
        (lambda: Infinite(warmup_tokens=50, cooldown_tokens=50).check(100), r"warmup 50, cooldown 50, anneal 10 tokens"),
        (lambda: CosineRestarts(warmup_tokens=10, cycles=2, growth=3).check_step(64, 256), r"cycle of 62 tokens, shorter"),
        (lambda: InverseSqrt(), r"timescale_tokens is 0.*give one of them"),
        (lambda: CosineRestarts(cycles=0), r"cycles is 0"),
        (lambda: CosineRestarts(cycles=9).check(4), r"do not fit into 4 tokens"),
        (lambda: Rewarm(start=1.5), r"lr_schedule\.start is 1\.5"),
        (lambda: Rewarm(warmup_tokens=1).factor(0.0, 10), r"lr_schedule\.start is null"),
        (lambda: Rewarm().after(None, 1e-3), r"no LR history; declare it with model\.lr_history"),
        (lambda: Rewarm().after(None, 1e-3, is_random=True), r"starts from random weights; use another schedule"),
        (lambda: Rewarm().after(2e-3, 1e-3), r"ended at 0\.002, above optimizer\.peak_lr=0\.001"),
        (lambda: anneal_area([1.0], 1.0), r"lambda.*between 0 and 1"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_by_name(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, r"lr_schedule\.path: .*lr\.csv cannot be read \(FileNotFoundError\)"),
        ("", r"opens with nothing; its first line must be tokens,factor"),
        ("step,lr\n0,1\n", r"opens with step,lr"),
        ("tokens,factor\n0,1\n5,high\n", r"line 3 of .* is 5,high, no two numbers"),
        ("tokens,factor\n0,1\n9,1\n5,0\n", r"is not sorted: tokens 5 follows 9"),
        ("tokens,factor\n0,1\n9,1\n9,0\n", r"is not sorted: tokens 9 follows 9"),
        ("tokens,factor\n0,1\nnan,1\n", r"is not sorted"),
        ("tokens,factor\n5,1\n9,1\n", r"the first at tokens 0"),
        ("tokens,factor\n0,1\n9,1.5\n", r"has the factor 1\.5"),
        ("tokens,factor\n0,0.2\n9,0.5\n", r"never reaches 1 \(its highest factor is 0\.5\)"),
        ("tokens,factor\n0,1\n90,0\n", r"ends at tokens 90, the run at 100"),
    ],
)
def test_a_file_that_is_no_schedule_is_refused(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "lr.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        Piecewise(path=str(tmp_path / "lr.csv")).check(100)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, r"needs lr_schedule\.path=FILE or lr_schedule\.points"),
        ({"points": [1, 2]}, r"must be a list of pairs"),
        ({"points": [[0, 1], [1, 1]], "unit": "step"}, r"lr_schedule\.unit is step\."),
        ({"points": [[0, 1], [1, 1]], "warmup_tokens": 5}, r"draws its own warm-up"),
    ],
)
def test_points_that_are_no_schedule_are_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        Piecewise(**fields)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["lr_schedule.warmup_tokens=1e9"], r"shorten the warm-up or lengthen the run"),
        (["lr_schedule=trapezoid", "lr_schedule.decay_tokens=1e9"], r"shorten them or lengthen the run"),
        (["lr_schedule=piecewise", "lr_schedule.path=missing.csv"], r"missing\.csv cannot be read"),
        (
            ["lr_schedule=cosine_restarts", "lr_schedule.warmup_tokens=0", "tokens=655360", "lr_schedule.cycles=1000"],
            r"makes a cycle of \d+ tokens, shorter than one step of \d+; take fewer cycles or lengthen the run",
        ),
        (["lr_schedule=infinite", "optimizer=schedule_free"], r"replaces the decay"),
    ],
)
def test_a_configuration_is_refused_before_its_corpora_are_opened(overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        compose_point(overrides)


def test_a_rewarm_from_random_weights_is_not_told_to_declare_a_history(study):
    with pytest.raises(UserError, match=r"it starts from random weights; .*or give lr_schedule\.start") as refused:
        open_point(compose_point([*study, "lr_schedule=rewarm"]))
    assert "lr_history" not in str(refused.value)
    assert open_point(compose_point([*study, "lr_schedule=rewarm", "lr_schedule.start=0.5"])).run_id


def test_a_cycle_of_one_step_is_taken_and_a_shorter_one_is_not():
    CosineRestarts(warmup_tokens=64, cycles=5).check_step(64, 384)  # each of 64 tokens
    with pytest.raises(UserError, match="a cycle of 53 tokens, shorter than one step of 64"):
        CosineRestarts(warmup_tokens=64, cycles=6).check_step(64, 384)
