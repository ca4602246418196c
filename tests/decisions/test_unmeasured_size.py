"""Rises at a size that no run had."""

import numpy as np
import pytest

import cptlab
from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.decisions.unmeasured_size import level_at

SIZES, SHARES, TOKENS = (
    np.array([3e4, 1e5, 3e5, 1e6]),
    np.array([0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]),
    np.geomspace(1e6, 4e6, 5),
)
EFFECTS = {"none": np.zeros(4), "large": np.array([0.03, -0.03, -0.02, 0.03])}


def table(effects, sizes=SIZES):
    """General loss 2 + 20 N^-.3 + .1 (1 - g) (D / 4e6)^.1 + effect of the base; base loss the same without the rise."""
    rows = [
        (
            f"{n:g}|{r:g}",
            "general",
            2 + 20 * n**-0.3 + e + 0.1 * r * (d / 4e6) ** 0.1,
            n,
            d,
            1 - r,
            r,
            2 + 20 * n**-0.3 + e,
        )
        for n, e in zip(sizes, effects, strict=True)
        for r in SHARES
        for d in TOKENS
    ]
    names = ("run", "domain", "loss", "num_params", "tokens", "general_share", "domain_share", "base_loss")
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects_of_bases_do_not_move_the_rise_at_a_size_that_no_run_had(effect):
    """True rise at share r: .1 r. What the law says of the loss there is off by the effects, the rise is not."""
    fit = cptlab.fit("dcpt", table(EFFECTS[effect]), num_draws=20)
    level = level_at(fit, 3e6)
    columns = {"num_params": np.full(3, 3e6), "tokens": np.full(3, 4e6), "share": np.array([1, 0.5, 0.1])}
    rise = fit.predict(columns) + level.shift[0]
    np.testing.assert_allclose(rise, [0, 0.05, 0.09], atol=0.006)
    assert level.freedom == 2
    assert level.spread < 0.005


def test_the_choice_at_a_larger_size_stands_in_spite_of_the_effects():
    """Cap 3 % of 2.25: .0675 = .1 r at r = .675, whatever the bases' effects."""
    rows = table(EFFECTS["large"])
    domain = rows | {"domain": np.full(len(rows["loss"]), "law"), "loss": 5 - rows["domain_share"]}
    domain["base_loss"] = np.full(len(rows["loss"]), 5.0)
    both = {name: np.concatenate([rows[name], domain[name]]) for name in rows}
    fits = {name: cptlab.fit("dcpt", both, domain=name, num_draws=100) for name in ("general", "law")}
    base = 2 + 20 * 3e6**-0.3
    found = recommend(
        fits, Tradeoff(num_params=3e6, tokens=4e6, base_loss={"general": base}, domain="law", general="general")
    )
    assert found.choice["domain_share"] == pytest.approx(0.03 * base / 0.1, abs=0.04)
    low, high = found.interval["domain_share"]
    assert low <= 0.03 * base / 0.1 <= high
    assert high - low < 0.25


def test_three_sizes_leave_too_little_to_judge_a_line_by():
    assert level_at(cptlab.fit("dcpt", table(np.zeros(4)), num_draws=0), 3e6) is not None
    assert level_at(cptlab.fit("dcpt", table(np.zeros(3), SIZES[:3]), num_draws=0), 3e6) is None
