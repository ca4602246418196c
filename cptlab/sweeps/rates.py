"""How fast points train: seconds from FLOPs, learnt from records, from a probe, or from a table of GPUs."""

from __future__ import annotations

import functools
import json
import math
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cptlab.errors import UserError, closest
from cptlab.records.run import write_whole
from cptlab.sweeps.planned import PlannedPoint
from cptlab.sweeps.state import DONE, State
from cptlab.training.peaks import BF16, listed

PROBE = "probe.json"


@dataclass(frozen=True)
class Rates:
    """Measured speeds. seen: (FLOPs a token, processes, FLOP/s of a whole run); source: where they are from."""

    source: str = ""
    seen: list[tuple[float, int, float]] = field(default_factory=list)
    flops_per_second: float = 0.0  # of one device, where a table gave it

    def seconds(self, point: PlannedPoint) -> float | None:
        """Of a whole run; None where nothing is known. Of measured runs those nearest in size and processes count."""
        if self.flops_per_second:
            return point.work / (self.flops_per_second * point.devices)
        if not self.seen:
            return None

        def far(measured: tuple[float, int]) -> float:
            return abs(math.log(measured[0] / point.flops_per_token)) + 10 * (measured[1] != point.devices)

        return point.work / self.by_size[min(self.by_size, key=far)]

    @functools.cached_property
    def by_size(self) -> dict[tuple[float, int], float]:
        """Median FLOP/s of each (FLOPs a token, processes)."""
        found: dict[tuple[float, int], list[float]] = {}
        for size, devices, rate in self.seen:
            found.setdefault((size, devices), []).append(rate)
        return {each: statistics.median(rates) for each, rates in found.items()}


def of_gpu(name: str, mfu: float) -> Rates:
    """From the table of dense bf16 peaks."""
    if not 0 < mfu <= 1:
        raise UserError(f"--mfu is {mfu}; it must lie in (0, 1]")
    found = listed(name, "bf16")
    if found is None:
        raise UserError(f"--gpu {name} is not in the table.{closest(name, BF16)}")
    return Rates(f"{name} at {found:g} TFLOP/s, MFU {mfu:g}", flops_per_second=found * 1e12 * mfu)


def of_records(points: list[PlannedPoint], states: list[State]) -> Rates:
    """From the study's own finished runs, start and evaluations with them."""
    seen = [
        (
            point.flops_per_token,
            point.devices,
            point.work * (point.steps - state.from_step) / (point.steps - point.left_at) / state.seconds,
        )
        for point, state in zip(points, states, strict=True)
        if state.status == DONE and state.seconds > 0 and state.from_step < point.steps
    ]
    return Rates(f"{len(seen)} finished run{'s' * (len(seen) != 1)} of this study", seen)


def kept_probe(folder: Path) -> Rates:
    """What the last probe of this study found, if there was one."""
    try:
        kept: dict[str, Any] = json.loads((folder / PROBE).read_text("utf8"))
        return Rates(kept["source"], [(size, int(devices), rate) for size, devices, rate in kept["seen"]])
    except (OSError, ValueError, KeyError, TypeError):
        return Rates()


def keep_probe(folder: Path, rates: Rates) -> None:
    """For later plans."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / PROBE, {"source": rates.source, "seen": rates.seen})
