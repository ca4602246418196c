"""Shares that move from a start to an end while the run goes on.

`space=share`: w(v) = (1 - v) a + v b. `space=logit`: w(v) proportional to a^(1 - v) b^v, for two corpora a straight
line in logit(share). v runs from 0 to 1 between the progress `begin` and `finish`, and stays there outside.
A gradual change of the mixture is one cure of the stability gap (Guo et al. 2024, arXiv 2406.14833); the two forms
are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import check_share, check_shares, given_row
from cptlab.variants import variant

SPACES = ("share", "logit")


@variant("mixture")
@dataclass(kw_only=True)
class Ramp(Mixture):
    """From `start` to `end` of the new domain, or from `start_shares` to `end_shares`."""

    start: float = 0.1  # share of the new domain at `begin`, in [0, 1]
    end: float = 0.5  # share of the new domain at `finish`, in [0, 1]
    domain: str = ""  # name of the new domain; "" = the only corpus beside the general one
    start_shares: dict[str, float] = field(default_factory=dict)  # corpus -> share, sums to 1; replaces start
    end_shares: dict[str, float] = field(default_factory=dict)  # corpus -> share, sums to 1; replaces end
    space: str = "share"  # share or logit: where the way is straight
    begin: float = 0.0  # progress u at which the ramp begins, in [0, 1)
    finish: float = 1.0  # progress u at which it ends, above begin, at most 1

    def __post_init__(self) -> None:
        for key in ("start", "end"):
            check_share(getattr(self, key), f"mixture.{key}")
            check_shares(getattr(self, f"{key}_shares"), f"mixture.{key}_shares")
        if bool(self.start_shares) != bool(self.end_shares):
            raise UserError("mixture.start_shares and mixture.end_shares go together; give both or neither")
        if self.space not in SPACES:
            raise UserError(f"mixture.space is {self.space}.{closest(self.space, SPACES)}")
        if not 0 <= self.begin < self.finish <= 1:
            raise UserError(
                f"mixture.begin={self.begin} and mixture.finish={self.finish} must satisfy 0 <= begin < finish <= 1"
            )

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """(n, len(corpora)) between the two rows."""
        first = given_row(self.start_shares, self.start, self.domain, corpora, general)
        last = given_row(self.end_shares, self.end, self.domain, corpora, general)
        v = np.clip((np.asarray(u) - self.begin) / (self.finish - self.begin), 0, 1)[:, None]
        if self.space == "share":
            return (1 - v) * first + v * last
        used = (first > 0) | (last > 0)
        if ((first == 0) ^ (last == 0)).any():
            raise UserError("mixture.space=logit cannot start or end at a share of 0 or 1; use a small share, or share")
        rows = np.zeros((len(v), len(corpora)))
        rows[:, used] = np.exp((1 - v) * np.log(first[used]) + v * np.log(last[used]))
        return rows / rows.sum(axis=1, keepdims=True)
