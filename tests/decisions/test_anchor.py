"""The measured losses at one size and number of tokens."""

from types import SimpleNamespace

import numpy as np
import pytest

from cptlab.decisions.anchor import anchor_at


def fit_of(share, loss, num_params=1e5, tokens=1e6, run=None):
    n = len(share)
    columns = {
        "share": np.array(share, float), "loss": np.array(loss, float),
        "num_params": np.full(n, num_params), "tokens": np.broadcast_to(np.array(tokens, float), (n,)),
    }  # fmt: skip
    run = np.array([f"r{i}" for i in range(n)]) if run is None else np.array(run)
    of = {"columns": columns, "run": run, "__getitem__": lambda self, name: columns[name]}
    observations = type("Rows", (), of)()
    return SimpleNamespace(observations=observations)


SHARES = [0, 0.25, 0.5, 0.5, 0.75, 1]


def test_the_residual_of_a_share_is_the_mean_over_its_seeds():
    fit = fit_of(SHARES, [3.0, 2.8, 2.5, 2.7, 2.4, 2.3])
    anchor = anchor_at(fit, 1e5, 1e6)
    assert anchor.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(anchor.residual(fit, np.full(6, 2.0)), [1.0, 0.8, 0.6, 0.4, 0.3])


@pytest.mark.parametrize(("num_params", "tokens"), [(3e5, 1e6), (1e5, 2e6)])
def test_there_is_no_anchor_where_nothing_was_measured(num_params, tokens):
    assert anchor_at(fit_of(SHARES, [3.0] * 6), num_params, tokens) is None


def test_four_shares_are_too_few():
    assert anchor_at(fit_of([0, 0.3, 0.6, 1], [3.0] * 4), 1e5, 1e6) is None


def test_between_two_checkpoints_both_count_by_their_distance_in_log_tokens():
    shares = [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1, 1]
    run = [f"r{i // 2}" for i in range(10)]
    fit = fit_of(shares, [3.0, 2.0] * 5, tokens=[1e6, 4e6] * 5, run=run)
    anchor = anchor_at(fit, 1e5, 2e6)  # half-way in the logarithm
    np.testing.assert_allclose(anchor.residual(fit, np.zeros(10)), 2.5)
    np.testing.assert_allclose(anchor_at(fit, 1e5, 4e6).residual(fit, np.zeros(10)), 2.0)
    np.testing.assert_allclose(anchor_at(fit, 1e5, 4.3e6).residual(fit, np.zeros(10)), 2.0)  # just beyond the last
    assert anchor_at(fit, 1e5, 5e6) is None
    assert anchor.runs.tolist() == [1] * 5


def test_a_size_that_is_nearly_a_measured_one_is_held_to_its_losses():
    fit = fit_of(SHARES, [3.0, 2.8, 2.5, 2.7, 2.4, 2.3])
    np.testing.assert_allclose(anchor_at(fit, 1.02e5, 1e6).residual(fit, np.full(6, 2.0)), [1.0, 0.8, 0.6, 0.4, 0.3])
    assert anchor_at(fit, 1.1e5, 1e6) is None
