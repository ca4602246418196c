"""One corpus after the other (Yildiz et al. 2024, Investigating Continual Pretraining, arXiv 2402.17400).

`order_by=listed` takes `order` as given, `random` shuffles it by `order_seed`, `similar` goes from each corpus to the
most similar one that is left, beginning with the first of the list. The paper measures similarity by the cosine of
sentence embeddings; here it is the Bhattacharyya coefficient sum_v sqrt(p_v q_v) of token frequencies, which needs no
second model. Text to go with every stage comes from `replay`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.mixtures.base import Array, Mixture
from cptlab.mixtures.shares import check_names
from cptlab.variants import variant

ORDERS = ("listed", "similar", "random")
LENGTHS = ("equal", "tokens")
SAMPLE = 1_000_000  # tokens of a corpus from which its frequencies are counted


@variant("mixture")
@dataclass(kw_only=True)
class DomainOrder(Mixture):
    """Each corpus has the whole run to itself for a while."""

    order: list[str] = field(default_factory=list)  # corpora; [] = all but the general one, as data lists them
    order_by: str = "listed"  # listed, similar or random
    order_seed: int = 0  # of order_by=random, 0 or more
    lengths: str = "equal"  # equal, or tokens: in proportion to the corpus's train tokens

    def __post_init__(self) -> None:
        for key, known in (("order_by", ORDERS), ("lengths", LENGTHS)):
            if getattr(self, key) not in known:
                raise UserError(f"mixture.{key} is {getattr(self, key)}.{closest(getattr(self, key), known)}")
        if self.order_seed < 0:
            raise UserError(f"mixture.order_seed is {self.order_seed}; it must be 0 or more")
        if len(set(self.order)) < len(self.order):
            raise UserError(
                f"mixture.order names a corpus twice ({', '.join(self.order)}); use mixture=phased for that"
            )

    def weights(self, u: Array, corpora: Sequence[str], general: str) -> Array:
        """All to the corpus whose stage u lies in."""
        names = self.sequence(corpora, general)
        amounts = np.ones(len(names))
        if self.lengths == "tokens":
            amounts = np.array([self.fact(name).num_tokens for name in names], dtype=np.float64)
        ends = np.cumsum(amounts / amounts.sum())[:-1]
        columns = np.array([list(corpora).index(name) for name in names])
        return np.eye(len(corpora))[columns[np.searchsorted(ends + 1e-9, u)]]

    def sequence(self, corpora: Sequence[str], general: str) -> list[str]:
        """Names in the order of their stages."""
        check_names(self.order, corpora, "mixture.order")
        names = list(self.order) or [name for name in corpora if name != general] or list(corpora)
        if self.order_by == "random":
            return sorted(names, key=lambda name: hashlib.sha256(f"{self.order_seed} {name}".encode()).digest())
        if self.order_by == "similar":
            return self._chain(names)
        return names

    def _chain(self, names: list[str]) -> list[str]:
        roots = {name: np.sqrt(self._frequencies(name)) for name in names}
        chain, left = names[:1], names[1:]
        while left:
            here = roots[chain[-1]]
            near = max(left, key=lambda name: _overlap(here, roots[name]))  # ties: the first of the list
            chain.append(near)
            left.remove(near)
        return chain

    def _frequencies(self, name: str) -> Array:
        tokens = self.fact(name).tokens
        if tokens is None:
            raise UserError(f"mixture.order_by=similar cannot read the tokens of {name}; use listed or random")
        return np.bincount(np.asarray(tokens[:SAMPLE])) / min(len(tokens), SAMPLE)


def _overlap(one: Array, other: Array) -> float:
    size = min(len(one), len(other))
    return float(one[:size] @ other[:size])
