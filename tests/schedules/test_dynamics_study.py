"""experiments/dynamics: its points are real, and its script finds a planted law and lambda."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from cptlab.laws.cpt_dynamics import CPTDynamics
from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import read_study

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "experiments/dynamics"
DECAY, PEAK, PER_STEP = 0.99, 2e-3, 4096
# L0 A C1 C2 B | alpha E beta. Chosen: prose is forgotten, code is learned.
TRUTH = {"prose": [2.2, 0.5, 0, 0.4, 0.6, 0.5, 20, 0.2], "code": [2.0, 0.5, 0, 0.4, -0.9, 0.5, 200, 0.2]}


@pytest.fixture(scope="module")
def answer_py():
    spec = importlib.util.spec_from_file_location("dynamics_answer", STUDY / "answer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("file", "bases"),
    [("grid.yaml", "bases.yaml"), ("small_steps.yaml", "bases.yaml"), ("grid_gpu.yaml", "bases_gpu.yaml")],
)
def test_the_grid_fits_on_other_schedules_than_it_predicts(file, bases):
    configs = compose_points(read_study(STUDY / file, ["machine=cpu_1"]).points)
    known = {(c.lr_schedule.variant_name, vars(c.lr_schedule).get("decay_share")) for c in configs}
    assert known == {("constant", None), ("wsd", 0.2), ("wsd", 0.5), ("cosine", None)}
    assert len({config.seed for config in configs}) >= 3
    (base,) = compose_points(read_study(STUDY / bases, ["machine=cpu_1"]).points)
    assert base.lr_schedule.is_constant
    assert {base.optimizer.peak_lr} == {config.optimizer.peak_lr for config in configs}
    assert {config.lr_schedule.warmup_tokens for config in configs} == {0}


def test_the_script_finds_the_planted_law_and_the_best_schedule(answer_py, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tests/records"))
    from run_records import FACTS, write_run

    monkeypatch.setattr(answer_py, "LAMBDAS", (DECAY, 0.999))
    monkeypatch.setattr(answer_py, "DRAWS", 20)
    schedules = [
        {"variant": "constant", "warmup_tokens": 81920},
        {"variant": "wsd", "warmup_tokens": 81920, "decay_share": 0.2, "floor": 0.0},
        {"variant": "wsd", "warmup_tokens": 81920, "decay_share": 0.5, "floor": 0.0},
        {"variant": "cosine", "warmup_tokens": 81920, "floor": 0.1},
    ]
    from cptlab.schedules.history import schedule_of

    base = FACTS.base | {"lr_history": {"peak_lr": 1e-2, "schedule": {"variant": "wsd"}, "tokens": 4096000,
                                        "tokens_per_step": PER_STEP}}  # fmt: skip
    for number, named in enumerate(schedules):
        rates = learning_rates(schedule_of(named), PEAK, PER_STEP, 400 * PER_STEP)
        area, annealed = lr_area(rates), anneal_area(rates, DECAY)

        def losses(step, area=area, annealed=annealed):
            S1, S2 = (x[max(step - 1, 0)] for x in (area, annealed))
            columns = {"lr_area": S1, "anneal_area": S2, "base_lr_area": 9.0, "base_anneal_area": 0.0}
            columns = {name: np.array([x]) for name, x in columns.items()}
            return {name: float(CPTDynamics().predict(np.array(theta), columns)[0]) for name, theta in TRUTH.items()}

        write_run(
            tmp_path / "runs", f"r{number}", np.unique(np.geomspace(21, 400, 24).astype(int)).tolist(), losses,
            areas=(area, anneal_area(rates)), schedule=named, peak_lr=PEAK, tokens_per_step=PER_STEP, steps_total=400,
            tokens_total=400 * PER_STEP, warmup_tokens=81920, lr_is_constant_after_warmup=number == 0, base=base,
        )  # fmt: skip
    answer_py.main(str(tmp_path / "runs"), tmp_path / "answer.json")
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["lambda"] == DECAY
    assert min(answer["heldout_r2"].values()) > 0.9999
    assert set(answer["heldout_r2"]) == {"prose", "code"}
    assert answer["best"]["sum of corpora"]["agree"]
    assert all(value < 0.99 for value in answer["baselines_r2"]["prose"].values())


def test_a_seeds_own_noise_is_taken_from_its_constant_run_and_a_ceiling_from_all(answer_py):
    """The law says 3; seed 1's constant run lies .2 above it. Noise .1 on losses of variance .25: 1 - .01 / .25."""
    from cptlab.records.observations import Observations

    def rows(seeds, loss):
        labels = {name: np.array([""] * len(seeds)) for name in ("run", "domain", "split", "base")}
        columns = {"seed": np.array(seeds), "step": np.full(len(seeds), 5.0), "loss": np.array(loss)}
        return Observations(columns=columns, origin="a test", **labels)

    class Three:
        def predict(self, table):
            return np.full(len(table), 3.0)

    found = answer_py.same_seed(rows([0.0, 1.0], [9.0, 9.0]), rows([1.0, 0.0], [3.2, 3.0]), Three())
    np.testing.assert_allclose(found, [3.0, 3.2])
    assert answer_py.ceiling(np.array([1.0, 2.0]), 0.1) == 0.96
