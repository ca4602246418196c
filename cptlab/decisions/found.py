"""What a choice found: under the point fit and under every draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.candidates import Candidates, Limit

Array = NDArray[np.float64]
SHARES = ("domain_share", "replay_share", "general_share", "share")


@dataclass(frozen=True)
class Found:
    """What the point fit and the draws choose.

    values, labels: the choice. agreed: label -> share of the draws that choose the same. draws: varied quantity ->
    choices of the draws (k,). met: (num_draws,) whether a draw has an answer. index: nearest candidate. limits: under
    the point fit, excess (m,). binds: numbers of the limits that bind. noun: what a candidate is called.
    """

    values: Mapping[str, float]
    labels: Mapping[str, str]
    agreed: Mapping[str, float]
    draws: Mapping[str, Array]
    met: NDArray[np.bool_]
    index: int
    is_interval: bool
    limits: Sequence[Limit]
    binds: Sequence[int]
    noun: str

    def at_ends(self, candidates: Candidates) -> dict[str, str]:
        """Varied quantity -> `upper` or `lower`, where the choice lies at that end of the candidates."""
        ends = {}
        for name in candidates.varied:
            if name in candidates.follows:
                continue
            low, high = candidates.ends(name)
            if np.isclose(self.values[name], high, rtol=1e-9, atol=0):
                ends[name] = "upper"
            elif np.isclose(self.values[name], low, rtol=1e-9, atol=0):
                ends[name] = "lower"
        return ends

    def end_points(self, intervals: Mapping[str, tuple[float, float]]) -> list[dict[str, float]]:
        """The whole choices of the two draws at the ends of the widest interval; none where shares alone vary."""
        spans = {name: span(name, *ends) for name, ends in intervals.items()}
        if not spans or set(spans) == {"domain_share"}:
            return []
        widest = max(spans, key=lambda name: spans[name])
        at = [int(np.argmin(np.abs(self.draws[widest] - end))) for end in intervals[widest]]
        return [{name: float(x[k]) for name, x in self.draws.items() if len(x) > k} for k in at]


def span(name: str, low: float, high: float) -> float:
    """Width of an interval of a share, logarithm of the factor of any other."""
    return high - low if is_share(name) else float(np.log(high / low)) if low > 0 else np.inf


def is_share(name: str) -> bool:
    """Whether a quantity is a share of the tokens."""
    return name in SHARES or name.startswith("share_")
