"""Claim: the order answers 5 million random look-ups a second in one process, whatever the size of the corpus.

Theirs is the array that a stored shuffle would look up (numpy.random permutation), where it fits in memory.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from cptlab.data.order import key_of, permute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lookups", type=int, default=5_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
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
            "by_size": median, "stored_shuffle_of_2^20": round(theirs, 1),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
            "versions": {"numpy": version("numpy")},
        })
    )  # fmt: skip


if __name__ == "__main__":
    main()
