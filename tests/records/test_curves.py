"""Laws with LR inputs read their columns from records of real, tiny runs."""

import numpy as np
import pytest

import cptlab
from cptlab.records.read_runs import Runs
from cptlab.schedules.area import learning_rates, lr_drops
from cptlab.schedules.cosine import Cosine
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point
from cptlab.units import LR_DROP_NAMES

SCHEDULES = ("constant", "linear", "cosine", "wsd")


@pytest.fixture(scope="module")
def curves(study, tmp_path_factory):
    """A base whose LR decays, and a run of each schedule from it."""
    folder = tmp_path_factory.mktemp("curves")

    def train(*more):
        overrides = [*study, f"runs={folder}/runs", "optimizer.peak_lr=1e-2", *more]
        return train_point(compose_point(overrides), overrides, quiet=True).folder

    base = train("mixture=general_only", "tokens=6400", "lr_schedule=wsd")
    for schedule in SCHEDULES:
        train(f"model.base_run={base}", f"lr_schedule={schedule}", "tokens=6400", "save_model=false",
              "evaluation.points=10", "lr_schedule.warmup_tokens=320")  # fmt: skip
    return Runs(path=str(folder / "runs"), valid_from=0.05).read()


def test_every_row_after_warmup_of_every_schedule_is_there(curves):
    rows = curves.of_domain("sums")
    settled, count = np.unique(rows["lr_settled"], return_counts=True)
    assert settled.tolist() == [0, 1]
    per_run = len(rows) // len(SCHEDULES)
    assert count.tolist() == [3 * (per_run - 1), per_run + 3]
    assert len(np.unique(rows["base_lr_area"])) == 1
    assert (rows["base_anneal_area"] > 0).all()


def test_the_areas_and_changes_of_a_record_are_those_of_its_schedule(curves):
    rates = learning_rates(Cosine(warmup_tokens=320), 1e-2, 64, 6400)
    rows = curves.of_domain("sums")
    last = rows.where(rows["step"] == 100)
    expected = lr_drops(rates, np.array([100]))
    names = [name for node in LR_DROP_NAMES for name in node]
    got = np.array([last[name] for name in names])
    wanted = np.array([expected[name][0] for name in names])
    cosine = np.flatnonzero((np.abs(got - wanted[:, None]) < 1e-12).all(axis=0))
    assert len(cosine) == 1
    assert last["lr_area"][cosine[0]] == pytest.approx(rates.sum())


@pytest.mark.parametrize("law", ["annealing", "multi_power", "cpt_dynamics"])
def test_laws_with_lr_inputs_are_fitted_to_run_records(curves, law):
    fit = cptlab.fit(law, curves, domain="sums", num_draws=0, heldout=False)
    assert fit.num_points == len(curves.of_domain("sums"))
    assert fit.num_runs == 4
    assert fit.r2 > 0.9
    assert not any("decaying" in reason for reason in fit.observations.left_out)


def test_a_law_without_lr_inputs_reads_the_settled_rows_alone(curves):
    rows = curves.of_domain("sums")
    table = {name: rows[name] for name in ("loss", "num_params", "tokens", "lr_settled")} | {"run": rows.run}
    fit = cptlab.fit("chinchilla", table, num_draws=0, heldout=False)
    assert fit.num_points == int(rows["lr_settled"].sum())
    assert "rows before the end of a decaying run" in fit.message
