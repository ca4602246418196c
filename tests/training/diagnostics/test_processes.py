"""Two processes, with whole and with sharded weights, measure what one measures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cptlab.metrics.diagnostics import read_diagnostics
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

ROOT = Path(__file__).parents[3]
ALL = [
    f"diagnostics.{name}=true" for name in ("row_losses", "weight_drift", "gradient_alignment", "activation_kurtosis")
]
SMALL = ["diagnostics.rows=6", "optimizer.peak_lr=1e-3", "tokens=256"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fsdp"])
def test_processes_measure_what_one_measures(study, tmp_path, strategy):
    overrides = [*study, *ALL, *SMALL]
    alone = [*overrides, f"runs={tmp_path / 'one'}"]
    one = train_point(compose_point(alone), alone, quiet=True).folder
    machine = [f"runs={tmp_path / 'two'}", "machine=cpu_2", f"machine.strategy={strategy}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "train.py"), *overrides, *machine]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    two = next(file.parent for file in (tmp_path / "two").glob("*/run.json"))
    lines = [read_diagnostics(folder).lines for folder in (one, two)]
    assert len(lines[0]) == len(lines[1]) > 2
    for a, b in zip(*lines, strict=True):
        np.testing.assert_allclose(a["gradients"]["gram"], b["gradients"]["gram"], rtol=1e-3, atol=1e-6)
        for part, sums in a["weight_drift"].items():
            assert b["weight_drift"][part]["change_sq"] == pytest.approx(sums["change_sq"], rel=1e-3)
            assert b["weight_drift"][part]["numel"] == sums["numel"]
        for corpus in a["kurtosis"]:
            assert b["kurtosis"][corpus]["mean"] == pytest.approx(a["kurtosis"][corpus]["mean"], rel=1e-3)
            assert b["row_losses"][corpus]["sums"] == pytest.approx(a["row_losses"][corpus]["sums"], rel=1e-3)
