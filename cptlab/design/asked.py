"""Where a study's question is asked: the size and tokens of its points at which shares are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cptlab.design.space import Point, Space, even_shares
from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.shape import count, counted, tiny

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.decisions.question import Question
    from cptlab.sweeps.study import Study

SHARE, SEED = "mixture.domain_share", "seed"
NEAR = 1e-3  # relative difference below which two sizes, or two numbers of tokens, are one


@dataclass(frozen=True)
class Asked:
    """overrides: of a run there, without share and seed. num_params N, tokens D: of the run. base: its base's run
    folder, '' if it has none. low, high: shares of the study's axis. flops: of all runs of the study, 6 N D each."""

    overrides: tuple[str, ...]
    num_params: float
    tokens: float
    base: str
    low: float
    high: float
    flops: float

    @property
    def space(self) -> Space:
        """Every even share between the ends of the axis, at this size and these tokens."""
        shares = tuple(share for share in even_shares() if self.low <= share <= self.high)
        return Space((self.num_params,), (self.tokens,), shares)

    def point(self, share: float, seed: int = 0) -> Point:
        """A run here."""
        return Point(self.num_params, self.tokens, share, seed)

    def overrides_of(self, point: Point) -> list[str]:
        """Of train.py."""
        return [*self.overrides, f"{SHARE}={point.share:g}", f"{SEED}={point.seed}"]


def asked_of(study: Study, question: Question) -> Asked:
    """The study's point at the question's size (else the largest) and tokens (else the most).

    UserError where the study has no such point, where its points there differ in more than share and seed, and where
    they start from random weights, whose rows no fit reads. Only
    composes: neither corpora nor bases need to be there.
    """
    configs = compose_points(study.points)
    sizes = np.array([size_of(config) for config in configs])
    tokens = np.array([config.tokens_total for config in configs], float)
    here = _near(sizes, question.num_params or sizes.max(), "num_params", study)
    here &= _near(tokens, question.tokens or tokens[here].max(), "tokens", study)
    chosen = [study.points[i] for i in np.flatnonzero(here)]
    shares = [float(text.partition("=")[2]) for point in chosen for text in point if _key(text) == SHARE]
    if not shares:
        raise UserError(f"{study.file}: axes has no {SHARE}, so there is no share to choose; `cptlab sweep` trains it")
    kinds = {tuple(text for text in point if _key(text) not in (SHARE, SEED)) for point in chosen}
    if len(kinds) > 1:
        apart = sorted({_key(text) for kind in kinds for text in set(kind) - set.intersection(*map(set, kinds))})
        raise UserError(
            f"{study.file}: points of one size and number of tokens differ in {', '.join(apart)} beside the share;"
            " what chooses shares needs one value of each, so name it under fixed"
        )
    first = int(np.flatnonzero(here)[0])
    base = str(getattr(configs[first].model, "base_run", ""))
    if hasattr(configs[first].model, "base_run") and not base:
        raise UserError(
            f"{study.file}: its points start from random weights, and no law of continual pre-training is fitted to"
            " such rows; give model.base_run, or bases, or train it as a grid with `cptlab sweep`"
        )
    flops = float((6.0 * sizes * tokens).sum())
    return Asked(kinds.pop(), float(sizes[first]), float(tokens[first]), base, min(shares), max(shares), flops)


def size_of(config: TrainConfig) -> int:
    """N without embeddings, also where the base of a tiny model is not trained yet."""
    return (counted(*tiny(config.model, 0)) if hasattr(config.model, "dimensions") else count(config, 0)).nonembed


def _near(values: np.ndarray, wanted: float, name: str, study: Study) -> np.ndarray:
    found = np.isclose(values, wanted, rtol=NEAR)
    if not found.any():
        known = ", ".join(f"{value:,.0f}" for value in np.unique(values))
        raise UserError(f"question.{name} is {wanted:,.0f}, which no point of {study.file} has (they have {known})")
    return found


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]
