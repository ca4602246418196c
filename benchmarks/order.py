"""Claim: the order answers 5 million random look-ups a second in one process, whatever the size of the corpus.

`by_size` is the permutation alone, `locate` the whole way from a global row number to corpus, row and epoch in a stream
of five corpora. `--windows` measures instead how far counts over 1,000 rows are off their target.

Theirs is the array that a stored shuffle would look up (numpy.random permutation), where it fits in memory.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from cptlab.data.order import key_of, permute
from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.mixtures.apportion import apportion
from cptlab.mixtures.static import Static
from cptlab.replay.none import NoReplay

SHARES = {"a": 0.31, "b": 0.07, "c": 0.2, "d": 0.12, "e": 0.3}


def located(folder: Path, steps: int, lookups: int) -> float:
    """[M/s] look-ups in random order in five corpora of 62,500 rows, over `steps` batches of 8."""
    np.zeros(8_000_001, dtype="<u2").tofile(folder / "tokens")
    corpora = {n: Corpus(n, n, "train", str(folder / "tokens"), 8_000_001, 1, 1, "", "") for n in SHARES}
    stream = TokenStream.plan(
        corpora, Static(shares=SHARES), NoReplay(), general="a", steps=steps, rows_per_step=8, sequence_length=128,
        eos_id=0, seed=0,
    )  # fmt: skip
    index = np.random.default_rng(0).integers(0, 8 * steps, lookups)
    stream.locate(index)  # the plan is worked out once
    rates = []
    for _ in range(5):
        began = time.perf_counter()
        stream.locate(index)
        rates.append(lookups / (time.perf_counter() - began) / 1e6)
    return round(float(np.median(rates)), 1)


def windows() -> None:
    """Worst deviation [row] over all windows of 1,000 rows of whole batches, and how many are off by more than one."""
    rng = np.random.default_rng(0)
    for block_rows in (1, 2, 4, 8, 32):
        for corpora in (3, 5, 8):
            worst, beyond = [], []
            for _ in range(6 if block_rows < 4 else 12):
                shares = rng.dirichlet(np.ones(corpora))
                counts = apportion(np.tile(shares, (20_000 // block_rows, 1)), block_rows)
                off = np.vstack([np.zeros(corpora), np.cumsum(counts - shares * block_rows, axis=0)])
                blocks = 1000 // block_rows
                each = abs(off[blocks:] - off[:-blocks]).max(axis=1)
                worst.append(each.max())
                beyond.append((each > 1).mean())
            print(f"{block_rows} rows a batch, {corpora} corpora: {max(worst):.3f}, {np.mean(beyond):.3%} above 1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lookups", type=int, default=5_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--windows", action="store_true")
    options = parser.parse_args()
    if options.windows:
        windows()
        return
    with tempfile.TemporaryDirectory() as folder:
        whole = {f"{steps} steps": located(Path(folder), steps, 2_000_000) for steps in (4000, 200_000)}
    # Just above a power of four the network is four times the corpus: the slowest sizes.
    sizes = {"1e6": 10**6, "2^20+1": 2**20 + 1, "1e9": 10**9, "2^30+1": 2**30 + 1, "1e12": 10**12}
    rates: dict[str, list[float]] = {name: [] for name in sizes}
    rng = np.random.default_rng(0)
    for repetition in range(options.repetitions):
        for name, size in sizes.items():
            index = rng.integers(0, size, options.lookups)
            began = time.perf_counter()
            permute(index, size, key_of(repetition, 2, 1))
            rates[name].append(options.lookups / (time.perf_counter() - began) / 1e6)
    index = rng.integers(0, 2**20 + 1, options.lookups)
    stored = rng.permutation(2**20 + 1)
    began = time.perf_counter()
    stored[index]
    theirs = options.lookups / (time.perf_counter() - began) / 1e6
    median = {name: round(float(np.median(r)), 1) for name, r in rates.items()}
    slowest = min(median.values())
    print(
        json.dumps({
            "claim": "5M random look-ups a second at any corpus size", "ours": slowest, "theirs": 5.0,
            "peer": "the target of issue 4", "unit": "M look-ups/s", "ratio": round(slowest / 5.0, 2),
            "by_size": median, "locate": whole, "stored_shuffle_of_2^20": round(theirs, 1),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
            "versions": {"numpy": version("numpy")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
