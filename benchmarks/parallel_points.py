"""Claim: on two cores `cptlab sweep` trains a grid at least 1.3 times as fast as plain `python train.py -m`.

The same quick-start points of each size, from the command to the last record (wall seconds): by `cptlab sweep`, by -m as
it is (one thread), and by -m on two threads. `--sizes`, `--points` make it shorter. Prints one JSON line.
"""

import argparse
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

ROOT = Path(__file__).parents[1]
FIXED = ["tokens=327680", "save_model=false"]


def timed(command: list[str], runs: Path) -> float:
    shutil.rmtree(runs, ignore_errors=True)
    started = time.monotonic()
    subprocess.run([sys.executable, *command, f"runs={runs}"], check=True, cwd=ROOT, stdout=2)
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="30k,100k,300k")
    parser.add_argument("--points", type=int, default=6)
    options = parser.parse_args()
    shares = [str(round((i + 1) / (options.points + 1), 3)) for i in range(options.points)]
    totals, by_size = {"sweep": 0.0, "one_thread": 0.0, "two_threads": 0.0}, {}
    for size in options.sizes.split(","):
        with tempfile.TemporaryDirectory() as name:
            file, runs = Path(name) / "grid.yaml", Path(name) / "runs"
            file.write_text(f"axes: {{mixture.domain_share: [{', '.join(shares)}]}}\n")
            fixed = [*FIXED, f"model.size={size}"]
            plain = ["train.py", "-m", *fixed, f"mixture.domain_share={','.join(shares)}"]
            found = {
                "sweep": timed(["-m", "cptlab", "sweep", str(file), *fixed], runs),
                "one_thread": timed(plain, runs),
                "two_threads": timed([*plain, "machine.threads=2"], runs),
            }
        by_size[size] = {way: round(seconds, 1) for way, seconds in found.items()}
        totals = {way: totals[way] + seconds for way, seconds in found.items()}
    print(
        json.dumps({
            "claim": "cptlab sweep on two cores against python train.py -m",
            "ours": round(totals["sweep"], 1), "theirs": round(totals["one_thread"], 1),
            "peer": "python train.py -m, one thread", "unit": f"s for {options.points} points of each size",
            "ratio": round(totals["one_thread"] / totals["sweep"], 3),
            "ratio_two_threads": round(totals["two_threads"] / totals["sweep"], 3), "by_size": by_size,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "versions": {package: version(package) for package in ("torch", "transformers", "lightning")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
