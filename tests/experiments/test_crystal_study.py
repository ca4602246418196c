"""experiments/crystal: its orders hold the same text, and its script's differences are those worked by hand."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import read_study

ROOT = Path(__file__).parents[2]
STUDY = ROOT / "experiments/crystal"


@pytest.fixture(scope="module")
def answer_py():
    spec = importlib.util.spec_from_file_location("crystal_answer", STUDY / "answer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", ["grid.yaml", "grid_gpu.yaml"])
def test_every_order_has_the_same_share_of_code_before_the_last_phase(file, answer_py):
    configs = compose_points(read_study(STUDY / file, ["machine=cpu_1"]).points)
    assert len(configs) == 24
    for config in configs:
        fractions, shares = config.mixture.fractions, config.mixture.domain_shares
        before = np.dot(fractions[:2], shares[:2]) / sum(fractions[:2])
        assert before == pytest.approx(0.455, abs=1e-3)
        assert fractions[2] == pytest.approx(1 - answer_py.PHASE)
        assert not config.model.base_run
    named = {answer_py.setting({"mixture": {"domain_shares": list(c.mixture.domain_shares)}}) for c in configs}
    assert named == {(o, e) for o in answer_py.ORDERS.values() for e in (answer_py.CODE_PHASE, answer_py.EVEN_END)}


def test_the_script_pairs_seeds_and_tells_phase_from_order(answer_py, tmp_path, monkeypatch):
    """Code ends at 3, text first .1 lower and code first .2 higher; the last phase takes .3 off it, .5 after code first."""
    monkeypatch.syspath_prepend(str(ROOT / "tests/records"))
    from run_records import write_run

    monkeypatch.setitem(answer_py.LOSSES, "prose", ("prose",))
    monkeypatch.setitem(answer_py.LOSSES, "sum", ("code", "prose"))
    order_shift, phase = {0.0: -0.1, 0.455: 0.0, 0.63: 0.2}, {0.0: 0.3, 0.455: 0.3, 0.63: 0.5}
    for first in order_shift:
        for last in (0.9, 0.455):
            for seed in (0, 1, 2):

                def losses(step, first=first, last=last, seed=seed):
                    end = step > 9
                    code = 3 + seed + order_shift[first] - (phase[first] if end and last == 0.9 else 0)
                    return {"code": code, "prose": 2.0 + (0.1 if end and last == 0.9 else 0)}

                config = {"model": {"size": "30k"}, "mixture": {"domain_shares": [first, 0.5, last]}}
                write_run(tmp_path / "runs", f"{first}-{last}-{seed}", [5, 9, 10], losses, config=config, seed=seed)
    answer_py.main(str(tmp_path / "runs"), tmp_path)
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["num_runs"] == 18
    assert answer["before_the_last_phase"]["code"]["text first − even"]["value"] == -0.1
    assert answer["before_the_last_phase"]["code"]["even"]["value"] == 4.0  # mean over seeds 3, 4, 5
    assert answer["at_the_end_with_code_phase"]["code"]["code first − even"]["value"] == 0.0  # .2 - (.5 - .3)
    assert answer["at_the_end_without"]["code"]["code first − even"]["value"] == 0.2
    change = answer["change_by_code_phase"]
    assert change["code"]["even"]["value"] == -0.3
    assert change["code"]["code first − even"]["value"] == -0.2
    assert change["prose"]["text first"]["value"] == 0.1
    assert change["sum"]["even"]["value"] == -0.2
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"curves.png", "code_phase.png"}
