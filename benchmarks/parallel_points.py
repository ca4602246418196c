"""Claim: on two cores `cptlab sweep` trains a grid of tiny points at least 1.3 times as fast as plain `train.py -m`.

The same points three ways, in turn, from the command to the last record (wall seconds): `cptlab sweep`; `train.py -m` as
it is (one thread a process, as the sweep's points have); `train.py -m machine.threads=2`. Nothing is kept between two
passes but the corpora, which are built before the first. The records of sweep and -m must be equal in every number.

Bound: with s seconds until the first point starts, n points of t seconds, and t' where two run side by side, the ratio is
(s + n t) / (s' + n t' / 2). `--sizes`, `--points`, `--rounds` make it shorter. Prints one JSON line.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sweeps"))
from kills import ROOT, plain

from cptlab.records.run import read_rows
from cptlab.records.run_folders import last_attempts

WAYS = ("sweep", "one_thread", "two_threads")


def commands(sizes: list[str], shares: list[str], tokens: str, file: Path) -> dict[str, list[str]]:
    """The same points as arguments of three commands."""
    fixed = [f"tokens={tokens}", "save_model=false"]
    file.write_text(json.dumps({"axes": {"model.size": sizes, "mixture.domain_share": [float(s) for s in shares]}}))
    plainly = ["train.py", "-m", *fixed, f"model.size={','.join(sizes)}", f"mixture.domain_share={','.join(shares)}"]
    sweep = ["-m", "cptlab", "sweep", str(file), *fixed]
    return {"sweep": sweep, "one_thread": plainly, "two_threads": [*plainly, "machine.threads=2"]}


def timed(command: list[str], runs: Path, scratch: Path) -> float:
    """Wall seconds of a command that has never run."""
    shutil.rmtree(runs, ignore_errors=True)
    hydra = [f"hydra.sweep.dir={scratch}"] if "train.py" in command else []
    started = time.monotonic()
    subprocess.run([sys.executable, *command, *hydra, f"runs={runs}"], check=True, cwd=ROOT, stdout=2)
    return time.monotonic() - started


def records(runs: Path) -> dict[str, list]:
    """{run_id: its last losses and all rows, without clocks}."""
    return {
        file.parent.name: [json.loads(file.read_text())["losses"], *map(plain, last_attempts(read_rows(file.parent)))]
        for file in sorted(runs.glob("*/done.json"))
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="100k,30k")
    parser.add_argument("--points", type=int, default=6, help="of each size")
    parser.add_argument("--tokens", default="163840")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    sizes = options.sizes.split(",")
    shares = [str(round((i + 1) / (options.points + 1), 3)) for i in range(options.points)]
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways = commands(sizes, shares, options.tokens, folder / "grid.yaml")
        subprocess.run(
            [sys.executable, *ways["sweep"], "--dry-run", f"runs={folder}/dry"], check=True, cwd=ROOT, stdout=2
        )
        for number in range(options.rounds):
            found = {}
            for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
                seconds[way].append(timed(ways[way], folder / "runs", folder / "hydra"))
                found[way] = records(folder / "runs")
                print(f"round {number + 1}: {way} {seconds[way][-1]:.1f} s", file=sys.stderr, flush=True)
            assert len(found["sweep"]) == len(sizes) * options.points
            assert found["sweep"] == found["one_thread"], "the records differ"
    pairs = {
        way: sorted(theirs / ours for ours, theirs in zip(seconds["sweep"], seconds[way], strict=True))
        for way in WAYS[1:]
    }
    print(json.dumps({
        "claim": "cptlab sweep on two cores against python train.py -m, records equal",
        "ours": round(statistics.median(seconds["sweep"]), 1), "theirs": round(statistics.median(seconds["one_thread"]), 1),
        "peer": "python train.py -m, one thread", "unit": f"s for {len(sizes) * options.points} points",
        "ratio": round(statistics.median(pairs["one_thread"]), 3), "ratios": [round(r, 3) for r in pairs["one_thread"]],
        "ratios_two_threads": [round(r, 3) for r in pairs["two_threads"]],
        "seconds": {way: [round(s, 1) for s in each] for way, each in seconds.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {package: version(package) for package in ("torch", "transformers", "lightning")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
