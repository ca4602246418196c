"""The CPU benchmark trains what it says in every repetition."""

from pathlib import Path

import pytest

from cptlab.sweeps.preflight import compose_point
from cptlab.training.point import open_point

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("compiled", [False, True])
def test_every_repetition_has_the_same_setting_of_compile(study, tmp_path, monkeypatch, compiled):
    monkeypatch.syspath_prepend(str(FOLDER))
    import train_cpu

    seen = []

    def fit_steps(config, model, attention, stream, recorder, checkpointing):
        recorder.times = []
        seen.append(config.machine.compile)

    monkeypatch.setattr("cptlab.training.trainer.fit_steps", fit_steps)
    ours = train_cpu.Ours(open_point(compose_point([*study, f"runs={tmp_path}"])), compiled)
    for _ in range(3):
        ours.repeat()
    assert seen == ["blocks" if compiled else "none"] * 3
