"""Load a study's answer.py and plant the runs that it reads."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
sys.path.insert(0, str(ROOT / "tests/records"))
from run_records import FACTS, write_run  # noqa: E402


def script(study: str) -> ModuleType:
    """experiments/<study>/answer.py as a module."""
    spec = importlib.util.spec_from_file_location(f"{study}_answer", EXPERIMENTS / study / "answer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plant(folder: Path, name: str, seed: int, config: dict, steps: list[int], losses, **changes) -> None:
    """One finished run; losses: step -> {corpus: loss}."""
    write_run(folder, name, steps, losses, config=FACTS.config | config, seed=seed, **changes)


def answer(target: Path) -> dict:
    """What the script wrote; its figures are there too."""
    assert list((target / "figures").glob("*.png"))
    return json.loads((target / "answer.json").read_text("utf8"))
