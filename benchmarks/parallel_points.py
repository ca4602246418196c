"""Claim: on two cores, two points of one thread side by side beat the same points one after another on two threads.

Trains four quick-start points of each size both ways, from start to record (wall seconds), and prints one JSON line.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

SIZES = ("30k", "100k", "300k")
GRID = """
name: parallel_points
fixed: {{model.size: {size}, tokens: 327680, save_model: false}}
axes: {{mixture.domain_share: [0.2, 0.4, 0.6, 0.8]}}
"""


def seconds(folder: Path, workers: int, threads: int) -> float:
    command = [sys.executable, "-m", "cptlab", "sweep", str(folder), "--workers", str(workers)]
    runs = folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    started = time.monotonic()
    subprocess.run([*command, f"machine.threads={threads}", f"runs={runs}"], check=True, env=environment, stdout=2)
    return time.monotonic() - started


def main() -> None:
    ours = theirs = 0.0
    by_size = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "grid.yaml").write_text(GRID.format(size=size))
            side_by_side, in_turn = seconds(folder, 2, 1), seconds(folder, 1, 2)
        by_size[size] = round(in_turn / side_by_side, 2)
        ours, theirs = ours + side_by_side, theirs + in_turn
    print(
        json.dumps({
            "claim": "two points side by side on one thread each, against in turn on two threads",
            "ours": round(ours, 1), "theirs": round(theirs, 1), "peer": "cptlab sweep --workers 1, two threads",
            "unit": "s for 12 points", "ratio": round(theirs / ours, 3), "by_size": by_size,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {package: version(package) for package in ("torch", "transformers", "lightning")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
