"""A run starts without what Lightning's torchmetrics would load for plots and metrics of its own."""

import subprocess
import sys
from pathlib import Path

CODE = """
import sys
from cptlab.training.build import import_torchmetrics

import_torchmetrics()
import lightning
from lightning_utilities.core.imports import RequirementCache, package_available

lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
print([name for name in ("scipy.signal", "matplotlib") if name in sys.modules])
import matplotlib.pyplot, scipy.signal
print(package_available("scipy"), bool(RequirementCache("matplotlib")))
"""


def test_torchmetrics_is_imported_without_them_and_anyone_else_with_them():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "True True"]
