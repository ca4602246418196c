"""Repetitions from duplicate counts and quality (FineWeb2, arXiv 2506.20920).

Each corpus is a group of documents whose duplicate clusters had about the same size before deduplication. A group is
repeated r_i times, so its share is n_i r_i / sum n_j r_j with n_i its train tokens.

By quality, where `removed_share` f_i (what the quality filters took of the group) is given: r_i = 1 where f_i is at or
above the share removed of all text, f = sum d_i f_i / sum d_i with d_i = n_i / (1 - f_i), rising linearly to
`max_repetitions` at the smallest f_i; at most the size of the cluster, where that is given too.
By the size of the cluster alone: the table of the data set's card, 1, 2, 3 times up to 3 or 4 copies, 5 times from 5,
8 times from 100, once from 1,000 on: such clusters are mostly boilerplate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError
from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import check_names, proportional
from cptlab.variants import variant

SMALLEST_CLUSTER = np.array([1, 2, 3, 5, 100, 1000])
REPETITIONS = np.array([1.0, 2, 3, 5, 8, 1])


@variant("mixture")
@dataclass(kw_only=True)
class Rehydrate(Mixture):
    """A corpus that is named in neither mapping is repeated once."""

    cluster_size: dict[str, int] = field(default_factory=dict)  # corpus -> copies a document had, 1 or more
    removed_share: dict[str, float] = field(default_factory=dict)  # corpus -> share filtered out, in [0, 1)
    max_repetitions: float = 10.0  # r of the group that lost least, 1 or more

    def __post_init__(self) -> None:
        for name, size in self.cluster_size.items():
            if size < 1:
                raise UserError(f"mixture.cluster_size.{name} is {size}; it must be 1 or more")
        for name, share in self.removed_share.items():
            if not 0 <= share < 1:
                raise UserError(f"mixture.removed_share.{name} is {share}; it must lie in [0, 1)")
        if self.max_repetitions < 1:
            raise UserError(f"mixture.max_repetitions is {self.max_repetitions}; it must be 1 or more")

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """The same row for every u."""
        check_names([*self.cluster_size, *self.removed_share], corpora)
        sizes = np.array([self.fact(name).num_tokens for name in corpora], dtype=np.float64)
        return np.tile(proportional(sizes * self.repetitions(corpora), "sizes of the corpora"), (len(u), 1))

    def repetitions(self, corpora: Sequence[str]) -> Array:
        """How often each corpus is repeated: (len(corpora),), 1 or more."""
        clusters = np.array([self.cluster_size.get(name, 0) for name in corpora])
        if not self.removed_share:
            table = REPETITIONS[np.searchsorted(SMALLEST_CLUSTER, np.maximum(clusters, 1), side="right") - 1]
            return np.where(clusters > 0, table, 1.0)
        graded = np.array([name in self.removed_share for name in corpora])
        repeated = np.ones(len(corpora))
        repeated[graded] = by_quality(
            np.array([self.removed_share[name] for name, known in zip(corpora, graded, strict=True) if known]),
            np.array([self.facts[name].num_tokens for name, known in zip(corpora, graded, strict=True) if known]),
            self.max_repetitions,
        )
        return np.where(clusters > 0, np.minimum(repeated, np.maximum(clusters, 1)), repeated)


def by_quality(removed: Array, kept: Array, most: float) -> Array:
    """Repetitions of groups that lost the shares `removed` and kept `kept` tokens: (n,) in [1, most]."""
    before = kept / (1 - removed)
    overall, least = float((before * removed).sum() / before.sum()), float(removed.min())
    if overall <= least:  # all groups lost the same
        return np.ones(len(removed))
    return 1 + (most - 1) * np.clip((overall - removed) / (overall - least), 0, 1)
