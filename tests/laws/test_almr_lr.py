"""The response surface over share and learning rate: planted optima, by hand and with noise."""

import numpy as np
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.laws.almr_lr import AlmrLr

SHARES = np.array([0.1, 0.2, 0.33, 0.5, 0.67, 0.8])
RATES = np.array([3e-6, 1e-5, 3e-5, 1e-4])


def table(surface, noise: float = 0.0, seed: int = 0) -> dict:
    share, lr = (v.ravel() for v in np.meshgrid(SHARES, RATES, indexing="ij"))
    loss = surface(share, lr) + noise * np.random.default_rng(seed).standard_normal(len(share))
    return {"domain_share": share, "peak_lr": lr, "loss": loss}


def quadratic(share, lr):
    """Least at share 1/3 and LR 2e-5; the best share falls as the LR rises."""
    x, z = np.log(share / (1 - share)) + np.log(2), np.log(lr / 2e-5)
    return 2.0 + 0.05 * x**2 + 0.02 * x * z + 0.03 * z**2


def test_a_planted_surface_comes_back_with_its_optimum():
    fit = cptlab.fit("almr_lr", table(quadratic), num_draws=0)
    share, lr = fit.law.optimum(fit.theta)
    assert fit.objective < 1e-20
    assert share == pytest.approx(1 / 3)
    assert lr == pytest.approx(2e-5)
    #  dL/dx = 0: x = -.2 z, so at LR 2e-5 e^5 the best logit is -log 2 - 1
    best = fit.law.best_share(fit.theta, [2e-5, 2e-5 * np.exp(5)])
    np.testing.assert_allclose(best, [1 / 3, 1 / (1 + 2 * np.e)])


@pytest.mark.parametrize("seed", range(5))
def test_the_best_share_at_each_lr_lies_within_one_cell_of_the_planted_one(seed: int):
    fit = cptlab.fit("almr_lr", table(quadratic, 0.003, seed), num_draws=100, heldout=False)
    fine = np.linspace(0.01, 0.99, 981)
    planted = np.array([fine[np.argmin(quadratic(fine, lr))] for lr in RATES])
    cells = [np.abs(np.argmin(np.abs(SHARES - a)) - np.argmin(np.abs(SHARES - b))) for a, b in
             zip(fit.law.best_share(fit.theta, RATES), planted, strict=True)]  # fmt: skip
    assert max(cells) <= 1
    share, _ = fit.law.optimum(fit.draws)
    low, high = np.nanquantile(share, [0.05, 0.95])
    assert 0.001 < high - low < 0.05
    assert low - 0.005 < 1 / 3 < high + 0.005


def test_a_surface_that_is_no_quadratic_is_still_found_within_one_cell():
    def weighed(share, lr):  # forgetting grows with share and LR, learning saturates
        return 2 + 0.3 * share * (lr / 1e-5) ** 0.4 + 0.15 / (share + 0.05) ** 0.5 / (lr / 1e-5) ** 0.2

    fit = cptlab.fit("almr_lr", table(weighed), num_draws=0)
    fine = np.linspace(0.01, 0.99, 981)
    planted = np.array([fine[np.argmin(weighed(fine, lr))] for lr in RATES])
    cells = np.abs(SHARES[:, None] - fit.law.best_share(fit.theta, RATES)).argmin(0) - np.abs(
        SHARES[:, None] - planted
    ).argmin(0)
    assert np.abs(cells).max() <= 1


def test_surfaces_add_and_a_saddle_has_no_optimum():
    law = AlmrLr()
    falling, rising = np.array([2, -0.2, 0, 0.01, 0, 0.02]), np.array([1.5, 0.2, 0, 0.04, 0, 0.02])
    assert law.optimum(0.5 * falling + 0.5 * rising)[0] == pytest.approx(0.5)
    share, lr = law.optimum(np.array([2, 0, 0, 0.01, 0, -0.02]))
    assert np.isnan(share)
    assert np.isnan(lr)
    assert np.isnan(law.best_share(np.array([2, 1, 0, -0.01, 0, 0.02]), 1e-5)).all()


def test_shares_of_0_and_1_are_left_out_and_a_bad_unit_is_refused():
    columns = table(quadratic)
    columns["domain_share"][:4] = 0.0
    assert cptlab.fit("almr_lr", columns, num_draws=0, heldout=False).num_points == 20
    with pytest.raises(UserError, match=r"law\.lr_unit is 0"):
        AlmrLr(lr_unit=0)
