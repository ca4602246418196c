"""Cross-domain D-CPT: D-CPT at F = 0, planted parameters, a domain predicted from its short run alone."""

import numpy as np
import pandas as pd
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.short_run import Decline, decline, pooled
from cptlab.laws.dcpt import DCPT
from cptlab.laws.dcpt_cross_domain import DCPTCrossDomain

DCPT_PART = np.array([1.2, 200.0, 90.0, 0.15, 0.35, 0.6, 0.28, 0.05, 0.5])
#                 E    A     B    C    F    alpha eta beta  eps   gamma mu  w
THETA = np.array([0.8, 200, 90, 0.15, 0.2, 0.35, 0.6, 0.28, 0.05, 0.5, 1.2, 0.4])
DOMAINS = {
    "code": (2.1, 0.30), "math": (2.9, 0.45), "law": (2.4, 0.2), "music": (3.3, 0.15),
    "chemistry": (2.6, 0.35), "medical": (2.3, 0.12),
}  # fmt: skip


def grid(domain: str, k1: float, k2: float, noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    N, r, D = np.meshgrid([5e8, 1.8e9, 4e9], [0.1, 0.33, 0.5, 0.8, 1.0], np.arange(1, 9) * 1e9, indexing="ij")
    table = pd.DataFrame({"num_params": N.ravel(), "share": r.ravel(), "tokens": D.ravel()}).assign(k1=k1, k2=k2)
    table["loss"] = DCPTCrossDomain().predict(THETA, {name: table[name].to_numpy() for name in table})
    table["loss"] *= np.exp(noise * np.random.default_rng(seed).standard_normal(len(table)))
    table["run"] = table["num_params"].astype(str) + "-" + table["share"].astype(str)
    return table.assign(domain=domain, base_loss=k1)


def everything(noise: float = 0.0) -> pd.DataFrame:
    return pd.concat([grid(name, *k, noise, j) for j, (name, k) in enumerate(DOMAINS.items())])


def declines(*names: str) -> dict[str, Decline]:
    return {name: Decline(*DOMAINS[name]) for name in names}


def test_without_f_it_is_dcpt_exactly():
    rows = {name: grid("code", 2.1, 0.3)[name].to_numpy() for name in DCPTCrossDomain.inputs}
    theta = np.concatenate([DCPT_PART[:4], [0.0], DCPT_PART[4:], [1.2, 0.4]])
    np.testing.assert_array_equal(DCPTCrossDomain().predict(theta, rows), DCPT().predict(DCPT_PART, rows))


def test_two_domains_are_predicted_from_the_grids_of_four():
    table = pooled(everything(), declines("code", "math", "law", "music"))
    fit = cptlab.fit("dcpt_cross_domain", table, num_draws=0, heldout=False)
    assert fit.num_runs == 4 * 15
    np.testing.assert_allclose(fit.theta, THETA, rtol=1e-3)
    for name in ("chemistry", "medical"):
        new = grid(name, *DOMAINS[name])
        np.testing.assert_allclose(fit.predict(new), new["loss"], rtol=1e-5)


def test_with_noise_the_new_domains_are_predicted_within_a_percent():
    table = pooled(everything(0.003), declines("code", "math", "law", "music"))
    fit = cptlab.fit("dcpt_cross_domain", table, num_draws=0, heldout=False)
    clean = everything().query("domain in ('chemistry', 'medical')")
    assert np.abs(fit.predict(clean) / clean["loss"] - 1).max() < 0.01


def test_a_short_run_gives_k1_and_k2():
    tokens = np.array([0.0, 1e6, 2e6, 4e6, 8e6])
    loss = np.array([3.0, 2.9, 2.8, 2.7, 1.0])  # .1 nat a doubling up to 4e6
    table = {"tokens": tokens, "loss": loss, "domain": np.full(5, "law"), "run": np.full(5, "short")}
    found = decline(table, "law", until=4e6)
    assert found.k1 == 3.0
    assert found.k2 == pytest.approx(0.1 / np.log(2))
    other = table | {"loss": loss + 0.5, "run": np.full(5, "seed 1")}
    both = {name: np.concatenate([table[name], other[name]]) for name in table}
    assert decline(both, "law", until=4e6).k2 == pytest.approx(0.1 / np.log(2))
    rest = {name: column[1:] for name, column in table.items()} | {"base_loss": np.full(4, 3.1)}
    assert decline(rest, "law").k1 == pytest.approx(3.1)


def test_a_short_run_that_cannot_tell_is_refused():
    table = {"tokens": [0.0, 1e6, 2e6], "loss": [3.0, 3.1, 3.2], "domain": ["law"] * 3, "run": ["a"] * 3}
    with pytest.raises(UserError, match=r"the loss of domain law rises by 0\.144 nat an e-fold"):
        decline(table, "law")
    with pytest.raises(UserError, match="1 rows up to 1e\\+06 tokens; k2 needs two checkpoints"):
        decline(table, "law", until=1e6)
    with pytest.raises(UserError, match="neither a row at 0 tokens nor base_loss"):
        decline({name: column[1:] for name, column in table.items()}, "law")
    with pytest.raises(UserError, match="no row of domain laws"):
        decline(table, "laws")
