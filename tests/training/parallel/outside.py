"""What a shell outside torchrun has."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[3]
JOINED = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RUN_ID")


def environment():
    """Its variables."""
    return {name: value for name, value in os.environ.items() if name not in JOINED} | {"PYTHONPATH": str(ROOT)}
