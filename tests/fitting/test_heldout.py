"""Held-out protocols and baselines, by hand on a small grid."""

import numpy as np
import pytest

from cptlab.fitting.baselines import Grid, nearest_run, no_law, quadratic
from cptlab.fitting.holdout import judge, judge_baselines, share_levels
from cptlab.fitting.protocols import protocols
from cptlab.laws.dcpt import DCPT
from cptlab.records.observations import Observations


def small(shares=(0.0, 0.25, 0.5, 1.0), sizes=(1e6,), tokens=(1e6, 2e6, 3e6)) -> Observations:
    """Loss = 3 + share^2 - tokens / 1e7, base loss 3."""
    N, r, D = (x.ravel() for x in np.meshgrid(sizes, shares, tokens, indexing="ij"))
    run = np.array([f"{n:g}-{s:g}" for n, s in zip(N, r, strict=True)])
    label = np.full(len(N), "")
    columns = {"num_params": N, "share": r, "tokens": D, "loss": 3 + r**2 - D / 1e7}
    columns["base_loss"] = np.full(len(N), 3.0)
    return Observations(columns, run, label, label, label, "a test")


def grid_of(rows: Observations) -> Grid:
    return Grid(rows.run, share_levels(rows), rows["num_params"], rows["share"], rows["tokens"], rows["loss"] - 3)


def test_each_interior_share_is_left_out_in_turn_and_the_ends_apart():
    rows = small()
    plan = protocols(DCPT(), rows)
    assert [sorted(set(rows["share"][fold])) for fold in plan["ratio"]] == [[0.25], [0.5]]
    assert [sorted(set(rows["share"][fold])) for fold in plan["ratio_ends"]] == [[0.0], [1.0]]


def test_the_last_third_of_the_token_range_is_left_out():
    rows = small(tokens=(1e6, 2e6, 3e6, 4e6, 5e6, 7e6))
    (fold,) = protocols(DCPT(), rows)["tokens"]
    assert sorted(set(rows["tokens"][fold])) == [7e6]
    two = protocols(DCPT(), small(tokens=(1e6, 2e6), shares=(0.0, 0.1, 0.2, 0.5, 0.7, 1.0)))
    assert len(two["ratio"]) == 4
    assert not {"tokens", "token_segments"} & set(two)


def test_too_few_rows_are_left_to_hold_any_out():
    assert protocols(DCPT(), small(tokens=(1e6, 2e6))) == {}  # 6 of 8 rows for 7 parameters


def test_three_segments_of_the_checkpoints_are_left_out_in_turn():
    rows = small(tokens=(1e6, 2e6, 3e6, 4e6, 5e6, 9e6, 20e6))
    held = [sorted(set(rows["tokens"][fold])) for fold in protocols(DCPT(), rows)["token_segments"]]
    assert held == [[1e6, 2e6, 3e6], [4e6, 5e6], [9e6, 20e6]]


def test_each_third_of_the_sizes_is_left_out_where_the_rest_identifies_the_law():
    def held(*sizes: float) -> list[list[float]]:
        rows = small(sizes=sizes)
        folds = protocols(DCPT(), rows).get("size_folds", [])
        return [sorted(set(rows["num_params"][fold])) for fold in folds]

    assert held(1e6, 2e6, 3e6) == []  # two sizes do not tell E, A and alpha apart
    assert held(1e6, 2e6, 3e6, 4e6) == [[1e6], [2e6], [3e6], [4e6]]
    assert held(1e6, 2e6, 3e6, 4e6, 5e6, 6e6, 7e6) == [[1e6, 4e6, 7e6], [2e6, 5e6], [3e6, 6e6]]


def test_the_largest_size_is_left_out_only_with_four_sizes():
    assert "size" not in protocols(DCPT(), small(sizes=(1e6, 2e6, 3e6)))
    rows = small(sizes=(1e6, 2e6, 3e6, 4e6))
    (fold,) = protocols(DCPT(), rows)["size"]
    assert set(rows["num_params"][fold]) == {4e6}


def test_three_shares_are_too_few_to_leave_one_out():
    assert "ratio" not in protocols(DCPT(), small(shares=(0.1, 0.5, 0.9)))


def test_a_run_whose_share_drifts_stays_in_one_level():
    rows = small()
    rows.columns["share"][:3] = [0.003, 0.001, 0.0]
    np.testing.assert_array_equal(share_levels(rows), np.repeat([0, 1, 2, 3], 3))


def test_nearest_run_takes_the_nearest_share_at_the_same_tokens():
    rows = small()
    held = rows["share"] == 0.25  # 0 and .5 are equally near: (0 + .25) / 2
    np.testing.assert_allclose(nearest_run(grid_of(rows), held, "ratio"), 0.125 - np.array([1e6, 2e6, 3e6]) / 1e7)
    held = rows["share"] == 1.0
    np.testing.assert_allclose(nearest_run(grid_of(rows), held, "ratio")[0], 0.25 - 0.1)


def test_nearest_run_of_later_tokens_is_the_last_value_kept():
    rows = small()
    held = rows["tokens"] == 3e6
    np.testing.assert_allclose(nearest_run(grid_of(rows), held, "tokens"), rows["share"][held] ** 2 - 0.2)


def test_a_quadratic_world_is_predicted_exactly_by_the_quadratic():
    rows = small()
    for share in (0.0, 0.25, 1.0):
        held = rows["share"] == share
        np.testing.assert_allclose(quadratic(grid_of(rows), held, "ratio"), (rows["loss"] - 3)[held])


def test_nearest_run_of_a_left_out_segment_lies_between_its_neighbours_in_log_tokens():
    rows = small(tokens=(1e6, 2e6, 4e6), shares=(0.0, 0.5))
    held = rows["tokens"] == 2e6
    np.testing.assert_allclose(nearest_run(grid_of(rows), held, "token_segments"), rows["share"][held] ** 2 - 0.25)


def of_three_corpora() -> tuple[Observations, np.ndarray]:
    """Seven mixtures of a, b, c; loss - base = a^2 + 2 b^2 - a b, and one mixture held out."""
    a = np.array([0.0, 1.0, 0.0, 0.5, 0.5, 0.0, 0.2])
    b = np.array([0.0, 0.0, 1.0, 0.5, 0.0, 0.5, 0.6])
    columns = {
        "share_a": a,
        "share_b": b,
        "share_c": 1 - a - b,
        "tokens": np.full(7, 1e6),
        "num_params": np.full(7, 1e6),
    }
    columns["loss"], columns["base_loss"] = 3 + a**2 + 2 * b**2 - a * b, np.full(7, 3.0)
    label = np.full(7, "")
    return Observations(columns, np.arange(7).astype(str), label, label, label, "a test"), a == 0.2


def test_baselines_measure_mixtures_by_all_their_shares():
    rows, held = of_three_corpora()
    got = judge_baselines(rows, {"ratio": [held]})
    # (.2, .6, .2) lies .374 from (0, .5, .5) and (.5, .5, 0) alike, whose deltas are .5 and .5; by share_a alone
    # (0, 0, 1) and (0, 1, 0) would be as near.
    np.testing.assert_allclose(got["nearest_run"]["ratio"].predicted, [3.5])
    np.testing.assert_allclose(got["quadratic"]["ratio"].predicted, rows["loss"][held])


def test_no_law_is_the_mean_of_the_kept_deltas():
    rows = small(shares=(0.0, 1.0), tokens=(1e6, 2e6))
    held = rows["share"] == 1.0
    np.testing.assert_allclose(no_law(grid_of(rows), held, "ratio"), [-0.15, -0.15])


def test_errors_are_pooled_over_folds_by_hand():
    rows = small(tokens=(1e6,))
    folds = [np.array([False, True, False, False]), np.array([False, False, True, False])]
    loss = rows["loss"]
    held = judge(rows, folds, [loss[[1]] + 0.01, loss[[2]] - 0.03])
    assert held.rmse == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2))
    assert held.rmse_delta == held.rmse
    assert held.mape == pytest.approx((0.01 / loss[1] + 0.03 / loss[2]) / 2)
    spread = np.sum((loss[1:3] - loss[1:3].mean()) ** 2)
    assert held.r2 == pytest.approx(1 - (0.01**2 + 0.03**2) / spread)
    np.testing.assert_array_equal(held.rows, [1, 2])


def test_baselines_predict_exactly_the_rows_held_out():
    rows = small(sizes=(1e6, 2e6, 3e6, 4e6))
    plan = protocols(DCPT(), rows)
    for held in judge_baselines(rows, plan).values():
        assert set(held) == set(plan)
        for protocol, folds in plan.items():
            np.testing.assert_array_equal(np.sort(held[protocol].rows), np.flatnonzero(np.any(folds, axis=0)))
            assert np.isfinite(held[protocol].predicted).all()
