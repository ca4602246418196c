"""Claims: preflight of 500 points under 60 s; plan and status of 2,000 records under 2 s; skipping 500 adds under 5 s.

Records are made up: run.json and done.json of finished runs under the run_ids of a real study file. Prints one JSON line.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from kill_grid import study

ROOT = Path(__file__).parents[1]
SHARES = 50
DONE = {"status": "finished", "reason": "", "attempt": 1, "seconds": 12.5, "losses": {"prose": 2.5, "sums": 1.5},
        "weights_sha256": "", "of_attempt": {"from_step": 0}, "throughput": {"tokens_per_second": 5e4}}  # fmt: skip


def seconds(*arguments: str) -> float:
    """Wall seconds of a `cptlab` command, its start included."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "cptlab", *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


def write_study(folder: Path, number: int) -> Path:
    """A grid of `number` points."""
    file = folder / f"grid{number}.yaml"
    shares = [round(i / (SHARES - 1), 4) for i in range(SHARES)]
    content = {"axes": {"mixture.domain_share": shares, "seed": list(range(number // SHARES))}}
    file.write_text(json.dumps(content))
    return file


def finish(file: Path, overrides: list[str]) -> None:
    """Records for every point of a study."""
    from cptlab.sweeps.index import known_points
    from cptlab.sweeps.study import read_study

    for point in known_points(read_study(file, overrides).points) or []:
        point.path.mkdir(parents=True, exist_ok=True)
        (point.path / "run.json").write_text(json.dumps({"run_id": point.run_id, "config": {}, "padding": "x" * 6000}))
        (point.path / "done.json").write_text(json.dumps(DONE))


def main() -> None:
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = [*study(folder), f"runs={folder}/runs"]
        few, many = write_study(folder, 500), write_study(folder, 2000)
        seconds("sweep", str(write_study(folder, 50)), "--dry-run", *overrides)  # builds the corpora
        figures["preflight_500"] = seconds("sweep", str(few), "--dry-run", *overrides)
        figures["first_plan_2000"] = seconds("plan", str(many), *overrides)
        finish(many, overrides)
        figures["plan_2000"] = min(seconds("plan", str(many), *overrides) for _ in range(3))
        figures["status_2000"] = min(seconds("status", str(many), *overrides) for _ in range(3))
        figures["skip_500"] = seconds("sweep", str(few), *overrides)
        for file in (folder / "runs" / ".plan").glob("*.json"):
            file.unlink()
        figures["skip_500_without_index"] = seconds("sweep", str(few), *overrides)
    limits = {"preflight_500": 60, "plan_2000": 2, "status_2000": 2, "skip_500": 5}
    print(json.dumps({
        "claim": "preflight, plan and status answer at once", "ours": round(figures["plan_2000"], 2), "theirs": 2,
        "peer": "limits of issue 6", "unit": "s, plan of 2,000 records",
        "ratio": round(min(limit / figures[each] for each, limit in limits.items()), 2),
        "seconds": {each: round(value, 2) for each, value in figures.items()}, "limits": limits,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {package: version(package) for package in ("hydra-core", "omegaconf")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
