"""Claim: SIGKILL at 20 random moments of 12-point grids loses no point, trains none twice, changes no number.

Kills an agent, the nursery, the driver or all at once; the same command continues. Records are held against those of a
grid that nobody disturbed, in every field but clocks, attempt and host. Prints one JSON line.
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "sweeps"))
from kills import Grid

WORDS = ["the", "river", "runs", "past", "an", "old", "mill", "where", "nobody", "grinds", "corn", "now"]
WHAT = ("agent", "nursery", "driver", "all")


def study(folder: Path) -> list[str]:
    """Two made-up corpora, as the tests have them."""
    rng = random.Random(0)
    texts = {
        "prose": lambda: " ".join(rng.choices(WORDS, k=60)),
        "sums": lambda: " ".join(f"{a}+{a}={a + a};" for a in (rng.randrange(99) for _ in range(40))),
    }
    for name, make in texts.items():
        lines = [json.dumps({"text": make()}) for _ in range(400)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return [
        "data=files", f"data.corpora={{prose: {folder}/prose.jsonl, sums: {folder}/sums.jsonl}}",
        "data.general=prose", "data.sequence_length=16", "data.vocab_size=300", f"data.cache_dir={folder}/cache",
        "model.base_run=", "lr_schedule.warmup_tokens=0", "rows_per_step=4", "evaluation.rows=8", "evaluation.points=3",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--a-grid", type=int, default=5, help="kills of one grid")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rng, started = random.Random(), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        overrides = study(folder)
        calm = Grid(folder / "calm", overrides)
        assert calm.start().wait() == 0, calm.log.read_text()
        expected, kills, grids, bad, ends = calm.records(), [], 0, [], [0, 0]
        longest = time.monotonic() - started
        while len(kills) < options.moments:
            grid = Grid(folder / f"grid{grids}", overrides)
            grids += 1
            driver = grid.start()
            for _ in range(options.a_grid):
                if len(kills) == options.moments or not grid.wait_for_training(driver):
                    break
                time.sleep(rng.uniform(0, longest / options.a_grid))
                if driver.poll() is not None:
                    break
                what = WHAT[len(kills) % len(WHAT)]
                grid.check_ends()
                grid.kill(driver, what)
                kills.append(what)
                if what in ("driver", "all"):
                    driver = grid.start()
            assert driver.wait() == 0, grid.log.read_text()
            grid.check_ends()
            found = grid.records()
            bad += [run for run in expected if found.get(run) != expected[run]] + [
                r for r in found if r not in expected
            ]
            ends = [count + more for count, more in zip(ends, grid.ends(), strict=True)]
            print(f"{len(kills)} kills in {grids} grids, {len(bad)} points differ", file=sys.stderr, flush=True)
    print(json.dumps({
        "claim": "a grid killed at random moments ends with the records of an undisturbed one",
        "ours": len(bad), "theirs": None, "peer": "Hydra multirun starts again from zero (hydra #3328)",
        "unit": f"points that differ, of {12 * grids}, after {len(kills)} SIGKILLs", "ratio": None,
        "kills": {what: kills.count(what) for what in WHAT}, "killed_after_their_last_rows": ends[0],
        "of_these_trained_again": ends[1],
        "seconds": round(time.monotonic() - started, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {package: version(package) for package in ("torch", "transformers", "lightning")},
    }))  # fmt: skip
    sys.exit(bool(bad) or bool(ends[1]))


if __name__ == "__main__":
    main()
