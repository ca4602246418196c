"""What the same bits every time (`machine.deterministic`, on for a CPU) costs there: training with it over without.

The same model, rows and steps, eager; repetitions are interleaved and compared in pairs, as in train_cpu.py, which trains
every contestant without it.

    python benchmarks/deterministic.py --repeats 10
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import warnings
from importlib.metadata import version
from tempfile import TemporaryDirectory

import numpy as np
import torch
import train_cpu
from train_cpu import WARM, Ours, lower_end

from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import prepare_torch, silence_libraries
from cptlab.training.point import open_point


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1m")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=list(train_cpu.CLOCKS), default="wall")
    options = parser.parse_args()
    train_cpu.clock = options.clock
    warnings.filterwarnings("ignore")
    speeds: dict[bool, list[float]] = {True: [], False: []}
    with TemporaryDirectory() as folder:
        point = open_point(compose_point([
            f"model.size={options.size}", "data.sequence_length=256", "data.vocab_size=4096", "rows_per_step=8",
            f"tokens={options.steps * 8 * 256}", f"machine.threads={options.threads}", f"runs={folder}",
            "evaluation.rows=1", "save_model=false", "lr_schedule.warmup_tokens=0", "mixture=general_only",
            "model.base_run=",
        ]))  # fmt: skip
        silence_libraries()
        prepare_torch(point.config)
        ours = Ours(point, compiled=False)
        silence_libraries()  # Lightning sets its own level then
        for turn in range(options.repeats + 1):
            for on in (True, False) if turn % 2 else (False, True):
                torch.use_deterministic_algorithms(on)
                times = ours.repeat()
                if turn:  # the first turn warms up
                    tokens = (len(times) - WARM) * point.stream.tokens_per_step
                    speeds[on].append(tokens / (times[-1] - times[WARM - 1]))
    ratios = np.array(speeds[True]) / np.array(speeds[False])
    print(json.dumps({
        "claim": f"training {options.size} on a CPU, eager, 8 rows of 256, {options.threads} threads: deterministic over not",
        "ours": round(float(np.median(speeds[True]))), "theirs": round(float(np.median(speeds[False]))),
        "peer": "the same without", "unit": "tokens/s", "clock": options.clock, "ratio": round(float(np.median(ratios)), 3),
        "lower_95": round(lower_end(ratios), 3), "upper_95": round(1 / lower_end(1 / ratios), 3),
        "pairs": [round(float(each), 3) for each in sorted(ratios)], "repeats": options.repeats,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores", "versions": {"torch": version("torch")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
