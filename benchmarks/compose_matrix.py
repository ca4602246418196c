"""Claim: every pair of schedule, replay, mixture and regulariser composes and trains 20 steps.

Points are chosen so that each pair of variants of two groups is in one of them; `--product` composes every combination
(training them all takes hours: `--train` does it). A pair that is refused by design stands in REFUSED with its reason.

    python benchmarks/compose_matrix.py                 # all pairs, trained
    python benchmarks/compose_matrix.py --product       # every combination, composed and opened
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from cptlab.launch import options
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point

GROUPS = ("lr_schedule", "replay", "mixture", "regularizer")
STEPS = 20
NEEDS = {
    "lr_schedule=rewarm": ["lr_schedule.start=0.1"],
    "lr_schedule=infinite": ["lr_schedule.cooldown_tokens=128"],
    "lr_schedule=trapezoid": ["lr_schedule.decay_tokens=128"],
    "lr_schedule=piecewise": ["lr_schedule.warmup_tokens=0"],
    "mixture=phased": ["mixture.fractions=[0.5, 0.5]", "mixture.domain_shares=[0.2, 0.8]"],
    "mixture=domain_order": ["mixture.order=[general, code]"],
    "mixture=perplexity_curriculum": ["mixture.scores={code: FOLDER/code.npy}"],
    "mixture=subset_epochs": ["mixture.epochs=2"],
    "mixture=rehydrate": ["mixture.cluster_size={general: 5}"],
    "mixture=topic_adaptive": ["mixture.interval=0.25"],
    "mixture=ucb": ["mixture.interval=0.25"],
    "replay=adaptive": ["replay.interval=0.25"],
    "replay=adaptive_forgetting": ["replay.interval=0.25"],
    "replay=adaptive_gradnorm": ["replay.interval=0.25"],
    "replay=mer": ["replay.every=5"],
    "regularizer=ewc": ["regularizer.rows=4"],
    "regularizer=si": ["model.base_run=FOLDER/si", "regularizer.strength=1"],
    "regularizer=rwalk": ["model.base_run=FOLDER/rwalk", "regularizer.strength=1"],
}  # what a variant cannot be without, or would not show in so few steps
REFUSED = {
    ("replay=none", "regularizer=kl_to_base"): "no replayed rows to compare on",
    ("replay=agem", "regularizer=kl_to_base"): "replayed rows, on which it compares, are not trained on",
    ("replay=gem", "regularizer=kl_to_base"): "replayed rows, on which it compares, are not trained on",
}
Point = tuple[str, ...]  # one choice a group


def study(folder: Path) -> list[str]:
    """Overrides of a model of a thousand weights on two made-up corpora, written to `folder`."""
    rng = random.Random(0)
    words = ["the", "river", "runs", "past", "an", "old", "mill", "where", "nobody", "grinds", "corn", "now"]
    texts = {
        "general": [" ".join(rng.choices(words, k=60)) for _ in range(200)],
        "code": [" ".join(f"{a}+{a * 7 % 99}" for a in rng.choices(range(99), k=40)) for _ in range(200)],
    }
    for name, lines in texts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    overrides = [
        "data=files", f"data.corpora={{general: {folder}/general.jsonl, code: {folder}/code.jsonl}}",
        "data.general=general", "data.sequence_length=16", "data.vocab_size=280", f"data.cache_dir={folder}/cache",
        "model.size=custom", "model.width=8", "model.depth=1", "model.heads=2", "model.feed_forward=16",
        "model.base_run=", "lr_schedule.warmup_tokens=64", "rows_per_step=4", f"tokens={STEPS * 64}", "evaluation.rows=4", "evaluation.points=2",
        "save_model=false", f"runs={folder}/runs",
    ]  # fmt: skip
    rows = open_point(compose_point(overrides)).stream.rows[1]
    np.save(folder / "code.npy", -np.arange(len(rows), dtype=float))  # as `cptlab corpus score` writes them
    for name in ("si", "rwalk"):  # bases that leave importances to hold their weights by
        base = [*overrides, f"regularizer={name}", "regularizer.strength=0", "save_model=true"]
        (folder / name).symlink_to(train_point(compose_point(base), base, quiet=True).folder)
    return overrides


def choices() -> list[list[str]]:
    """Every variant of every group, as an override."""
    return [[f"{group}={name}" for name in options(group)] for group in GROUPS]


def refused(point: Point) -> bool:
    """Whether a pair of it is refused by design."""
    return any(set(pair) <= set(point) for pair in REFUSED)


def all_pairs(groups: list[list[str]], seed: int = 0) -> list[Point]:
    """Few points that hold each pair of choices of two groups, but for those refused: greedy, best of some draws."""
    rng = random.Random(seed)
    missing = {
        frozenset(pair)
        for one, other in itertools.combinations(groups, 2)
        for pair in itertools.product(one, other)
        if not refused(pair)
    }
    points: list[Point] = []
    while missing:
        wanted = min(missing, key=sorted)
        drawn = []
        for _ in range(30):
            point = tuple(next((c for c in group if c in wanted), None) or rng.choice(group) for group in groups)
            if not refused(point):
                drawn.append(point)
        if not drawn:
            raise RuntimeError(f"no point holds {sorted(wanted)}")
        best = max(drawn, key=lambda point: len(pairs(point) & missing))
        points.append(best)
        missing -= pairs(best)
    return points


def pairs(point: Point) -> set[frozenset[str]]:
    """Of choices."""
    return {frozenset(pair) for pair in itertools.combinations(point, 2)}


def each_once(groups: list[list[str]], seed: int = 0) -> list[Point]:
    """Few points that hold each choice at least once, none of them refused: greedy, best of some draws."""
    rng = random.Random(seed)
    missing = {choice for group in groups for choice in group}
    points: list[Point] = []
    while missing:
        wanted = min(missing)
        drawn = [tuple(wanted if wanted in group else rng.choice(group) for group in groups) for _ in range(50)]
        best = max((p for p in drawn if not refused(p)), key=lambda point: len(set(point) & missing))
        points.append(best)
        missing -= set(best)
    return points


def overrides_of(point: Point, folder: Path) -> list[str]:
    """The choices with what they need, some of it from the folder of `study`."""
    return [*point, *(need.replace("FOLDER", str(folder)) for choice in point for need in NEEDS.get(choice, []))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", action="store_true", help="every combination instead of every pair")
    parser.add_argument("--train", action="store_true", help="train the product too")
    args = parser.parse_args()
    groups, started, failed = choices(), time.monotonic(), []
    points = [p for p in itertools.product(*groups) if not refused(p)] if args.product else all_pairs(groups)
    trains = args.train or not args.product
    with TemporaryDirectory() as folder:
        common, known = study(Path(folder)), {}
        for number, point in enumerate(points, 1):
            overrides = [*common, *overrides_of(point, Path(folder))]
            try:
                config = compose_point(overrides)
                if trains:
                    outcome = train_point(config, overrides, quiet=True)
                    if outcome.status not in ("finished", "skipped"):
                        raise RuntimeError(outcome.reason)
                else:
                    open_point(config, known)
            except Exception as error:  # noqa: BLE001 - every point is to be tried
                failed.append((*point, str(error)))
                print(f"{' '.join(point)}: {error}", file=sys.stderr, flush=True)
            if number % 50 == 0:
                print(f"{number} of {len(points)}, {len(failed)} failed", file=sys.stderr, flush=True)
    print(json.dumps({
        "claim": "schedule x replay x mixture x regulariser: every " + ("combination" if args.product else "pair"),
        "ours": len(points) - len(failed), "theirs": len(points), "peer": "points tried",
        "unit": "points trained for 20 steps" if trains else "points composed and opened",
        "ratio": (len(points) - len(failed)) / len(points), "failed": failed,
        "variants": dict(zip(GROUPS, map(len, groups), strict=True)),
        "refused_by_design": {" + ".join(pair): why for pair, why in REFUSED.items()},
        "seconds": round(time.monotonic() - started, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs", "versions": {"python": platform.python_version()},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
