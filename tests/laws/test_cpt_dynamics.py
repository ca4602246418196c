"""CPT dynamics: published parameters found again, the best schedule from noisy curves, the extensions."""

import numpy as np
import pytest
from lr_curves import cpt_table

from cptlab.errors import UserError
from cptlab.fitting.fit import fit
from cptlab.laws.cpt_dynamics import CPTDynamics

NAMES = ("L0", "A", "C1", "C2", "B", "alpha", "E", "beta")
#          L0     A     C1    C2    B      alpha E    beta          106M, FineWeb -> Knowledge-Pile
D_PT = (3.057, 0.490, 0.299, 0.298, 0.366, 0.497, 28, 0.189)
D_CPT = (3.024, 0.412, 0.278, 0.324, -0.666, 0.677, 5662, 0.146)


def loss(values, table, law=None):
    law, values = law or CPTDynamics(), dict(values)
    theta = np.array([values[name] for name in law.parameter_names])
    return law.predict(theta, {name: np.asarray(table[name], float) for name in law.inputs})


@pytest.mark.parametrize("values", [D_PT, D_CPT])
def test_published_parameters_come_back_to_three_digits_from_696_points(values):
    table = cpt_table()
    assert len(table) == 696
    table["loss"] = loss(zip(NAMES, values, strict=True), table)
    got = fit("cpt_dynamics", table, num_draws=0, heldout=False)
    np.testing.assert_allclose([got.parameters[name] for name in NAMES], values, rtol=5e-4)


@pytest.mark.parametrize("seed", range(3))
def test_noisy_curves_tell_the_best_schedule(seed):
    # 8 potentials x 3 schedules x 3 peaks; half of the potentials and two of the peaks were not measured
    table = cpt_table()
    rng = np.random.default_rng(seed)
    every = [
        cpt_table(branches=tuple(range(23000, 31000, 1000)), every=11600, peak=peak) for peak in (1e-4, 2e-4, 3e-4)
    ]
    candidates = {name: np.concatenate([t[name] for t in every]) for name in every[0]}
    truth = guess = 0.0
    for values in (D_PT, D_CPT):
        values = dict(zip(NAMES, values, strict=True))
        noisy = table.assign(loss=loss(values.items(), table) + rng.normal(0, 0.003, len(table)))
        truth = truth + loss(values.items(), candidates)
        guess = guess + fit("cpt_dynamics", noisy, num_draws=0, heldout=False).predict(candidates)
    chosen = np.argmin(guess)
    assert chosen == np.argmin(truth)
    assert guess[chosen] == pytest.approx(truth[chosen], abs=0.005)


def test_rows_of_the_base_itself_are_the_annealing_law():
    from cptlab.laws.annealing import Annealing

    areas = {"lr_area": np.array([1.0, 4.0]), "anneal_area": np.array([0.0, 0.2])}
    rows = {"base_" + name: column for name, column in areas.items()} | {name: np.zeros(2) for name in areas}
    np.testing.assert_allclose(
        loss(zip(NAMES, D_PT, strict=True), rows), Annealing().predict(np.array([3.057, 0.490, 0.299, 0.497]), areas)
    )


def test_an_unknown_base_gets_its_lr_area_from_the_curves():
    table = cpt_table(branches=(30000,))
    table["loss"] = loss(zip(NAMES, D_PT, strict=True), table)
    got = fit(CPTDynamics(open_base=True), table.drop(columns="base_lr_area"), num_draws=0, heldout=False)
    assert got.parameters["S1pt"] == pytest.approx(table["base_lr_area"][0], rel=1e-3)
    assert got.parameters["L0"] == pytest.approx(3.057 - 0.299 * table["base_anneal_area"][0], abs=1e-3)


def test_a_vanishing_beta_is_leaves_the_product_alone_and_says_so():
    table = cpt_table()
    values = dict(zip(NAMES, D_PT, strict=True)) | {"B": 29.1, "beta": 0.002}
    noise = np.random.default_rng(0).normal(0, 0.003, len(table))
    got = fit("cpt_dynamics", table.assign(loss=loss(values.items(), table) + noise), num_draws=0, heldout=False)
    assert got.identifiability.at_bound == ["beta"]
    assert any("only the product B beta is known" in sentence for sentence in got.identifiability.sentences)
    planted, found = 29.1 * 0.002, got.parameters["B"] * got.parameters["beta"]
    assert found == pytest.approx(planted, rel=0.05)


def test_the_size_form_matches_the_published_sum_by_hand():
    law = CPTDynamics(size=True)
    values = {
        "L0": 1.829, "A": 0.504, "alpha": 0.537, "B": 0.278, "E": 12, "beta": 0.359, "C1": 0.090, "gamma1": 0.235,
        "C2": 0.103, "gamma2": 0.199, "F": 3.072, "gamma3": 0.195,
    }  # fmt: skip
    row = {"base_lr_area": 6, "lr_area": 2, "base_anneal_area": 0.1, "anneal_area": 0.05, "num_params": 106e6}
    row = {name: np.array([float(value)]) for name, value in row.items()}
    by_hand = (
        1.829 + 0.504 * 8**-0.537 + 0.278 * (1 - 25**-0.359) - 0.090 * 0.1 * 106**0.235
        - 0.103 * 0.05 * 106**0.199 + 3.072 * 106**-0.195
    )  # fmt: skip
    np.testing.assert_allclose(loss(values.items(), row, law), by_hand, rtol=1e-12)


@pytest.mark.parametrize(("replay", "B"), [("pretrain", 0.4), ("new", -0.02)])
def test_the_replay_form_gives_its_parameters_back(replay, B):
    law = CPTDynamics(replay=replay)
    values = dict(zip(NAMES, D_PT, strict=True)) | {"B": B, "a1": -0.5, "a2": 2.5}
    tables = [cpt_table((24000, 30000)).assign(general_share=r) for r in (0.0, 0.1, 0.3, 0.5, 0.8)]
    table = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    table["run"] = np.char.add(table["run"].astype(str), table["general_share"].astype(str))
    table["loss"] = loss(values.items(), table, law)
    got = fit(law, table, num_draws=0, heldout=False)
    np.testing.assert_allclose([got.parameters[name] for name in values], list(values.values()), rtol=1e-3)


def test_constant_runs_alone_are_refused():
    table = cpt_table(kinds=("constant",)).assign(loss=3.0)
    with pytest.raises(UserError, match="needs at least 2 distinct values of anneal_area"):
        fit("cpt_dynamics", table)


def test_runs_of_two_batch_sizes_are_refused():
    table = cpt_table(branches=(30000,)).assign(loss=3.0)
    table["tokens_per_step"] = np.where(table["run"].str.startswith("wsd"), 1e3, 2e3)
    with pytest.raises(UserError, match="one value of tokens_per_step"):
        fit("cpt_dynamics", table)


def test_an_unknown_form_of_replay_is_refused():
    with pytest.raises(UserError, match=r"law\.replay is pretrained; .* Did you mean pretrain"):
        CPTDynamics(replay="pretrained")
