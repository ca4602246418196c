"""Claim: MER costs under 2 % of the time of plain replay at k = 500; what each regulariser and projection costs a step.

A Llama of three layers (`--width 160`: a million parameters), 8 rows of 128 tokens, a quarter replayed; processor time of
this process, one thread. What needs no pass is timed alone; KL, A-GEM and GEM as whole steps, repetitions interleaved, against
plain replay in the same round.

    python benchmarks/forgetting_cost.py
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import torch
from compose_matrix import study
from step_overhead import ours

from cptlab.regularizers.ewc import EWC
from cptlab.regularizers.l2_to_base import L2ToBase
from cptlab.regularizers.rwalk import RWalk
from cptlab.regularizers.si import SI
from cptlab.replay.mer import MER
from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import attention_of, prepare_torch, silence_libraries
from cptlab.training.penalty import PathPenalty, Penalty
from cptlab.training.point import open_point
from cptlab.training.reptile import Reptile

BAR = 0.02
REPLAY = ["mixture=domain_only", "replay=fixed", "replay.replay_share=0.25"]
SHAPE = ["model.depth=3", "model.heads=2", "data.sequence_length=128", "rows_per_step=8", "evaluation.rows=1",
         "data.vocab_size=280"]  # fmt: skip
METHODS = {  # measured as whole steps against plain replay
    "replay": [],
    "kl_to_base": ["regularizer=kl_to_base"],
    "kl_to_base stored": ["regularizer=kl_to_base", "regularizer.source=stored"],
    "agem": ["replay=agem"],
    "gem": ["replay=gem"],
}


PARTS = {  # timed alone: they need no pass
    "reptile": lambda: Reptile(MER(every=1)),
    "l2_to_base": lambda: Penalty(L2ToBase(), None, ""),
    "ewc": lambda: Penalty(EWC(), None, ""),
    "si": lambda: PathPenalty(SI(), None, "", None, Path()),
    "rwalk": lambda: PathPenalty(RWalk(), None, "", None, Path()),
}


def part_ms(model: torch.nn.Module, make: Callable, repeats: int = 50) -> float:
    """Milliseconds of processor time that a part takes of one step, the least of some."""
    module, part = SimpleNamespace(network=copy.deepcopy(model), step=1), make()
    for weight in module.network.parameters():
        weight.grad = torch.full_like(weight, 1e-3)
    part.place(module)
    times = []
    for _ in range(repeats):
        started = time.process_time()
        part.before_update(module)
        part.after_update(module)
        times.append(1e3 * (time.process_time() - started))
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=160)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    silence_libraries()
    times: dict[str, list[float]] = {name: [] for name in METHODS}
    with TemporaryDirectory() as folder:
        common = [*study(Path(folder)), *SHAPE, *REPLAY, f"tokens={options.steps * 8 * 128}",
                  f"model.width={options.width}", f"model.feed_forward={3 * options.width}"]  # fmt: skip
        points = {name: open_point(compose_point([*common, *more])) for name, more in METHODS.items()}
        for _ in range(options.repeats):
            for name, point in points.items():
                prepare_torch(point.config)
                point.folder.path.mkdir(parents=True, exist_ok=True)
                model = point.config.model.build(point.corpora.vocab_size, 128, 0).train()
                attention = attention_of(point.config.machine, model, 128)
                times[name].append(ours(point, model, attention))
        model = points["replay"].config.model.build(280, 128, 0)
        parts = {name: part_ms(model, make) for name, make in PARTS.items()}
    plain = np.array(times["replay"])
    extra = {name: round(float(np.median(np.array(each) / plain - 1)), 3) for name, each in times.items()}
    step = float(np.median(plain))
    share = parts["reptile"] / 500 / step
    print(json.dumps({
        "claim": "processor time that MER (k = 500) adds to plain replay", "ours": share, "bar": BAR,
        "unit": "share of a step", "ratio": round(BAR / share, 1), "step_ms": round(step, 2),
        "part_ms": {name: round(each, 3) for name, each in parts.items()},
        "part_of_step": {name: round(each / step, 4) for name, each in parts.items()}, "extra_time": extra,
        "parameters": sum(p.numel() for p in model.parameters()), "repeats": options.repeats,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {each: version(each) for each in ("torch", "lightning")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
