"""What figures and tables read from the observations: roles of the corpora, last rows, repeats, shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.recommendation import Recommendation
from cptlab.fitting.fit import Fit
from cptlab.records.observations import Observations

Array = NDArray[np.float64]
MOST_PANELS = 8  # corpora with panels of their own in a figure
APART = 0.02  # [1] a share further than this from its place on the line of mixtures is off the line
OFF_LINE = "the mixtures of several corpora lie on no line"


@dataclass(frozen=True)
class Story:
    """Everything one report tells; `general` and `domain` are corpus names, empty where there is none."""

    observations: Observations
    fits: Mapping[str, Fit]
    recommendation: Recommendation
    facts: Mapping[str, Any]
    general: str
    domain: str
    comparison: Mapping[str, Any] = field(default_factory=dict)  # corpus -> .table(), .left_out, .why; "" for all

    @classmethod
    def of(
        cls,
        observations: Observations,
        fits: Mapping[str, Fit],
        recommendation: Recommendation,
        facts: Mapping[str, Any],
        comparison: Any = None,
    ) -> "Story":
        """Keep the split that feeds laws (every row where there is none); read the corpora's roles."""
        feeding = observations.split == "fit"
        table = observations.where(feeding) if feeding.any() else observations
        finite = np.isfinite(table["loss"])
        table = table.where(finite & np.isfinite(table.columns.get("num_params", table["loss"])))
        names = list(dict.fromkeys([*fits, *table.domains]))
        general = str(recommendation.question.get("general", "") or "")
        general = general if general in names else ""
        domain = str(recommendation.question.get("domain", "") or "")
        others = [name for name in names if name != general]
        domain = domain if domain in names else (others[0] if others else general)
        compared = {} if comparison is None else comparison if isinstance(comparison, Mapping) else {"": comparison}
        return cls(table, fits, recommendation, facts, general, domain, compared)

    @property
    def corpora(self) -> list[str]:
        """Names: the domain first, the general corpus second."""
        every = [self.domain, self.general, *self.fits, *self.observations.domains]
        return list(dict.fromkeys(name for name in every if name))

    @property
    def drawn(self) -> list[str]:
        """The corpora that get panels."""
        return self.corpora[:MOST_PANELS]

    @property
    def undrawn(self) -> str:
        """A clause about the corpora without panels; empty where there are none."""
        more = len(self.corpora) - len(self.drawn)
        return f"; {more} more corpora stand in the table of losses" if more else ""

    @property
    def sizes(self) -> list[float]:
        """Model sizes, rising; [nan] where the table has no sizes."""
        if "num_params" not in self.observations.columns:
            return [float("nan")]
        return np.unique(self.observations["num_params"]).tolist()

    @property
    def chosen(self) -> float | None:
        """The recommended domain share."""
        return self.recommendation.choice.get("domain_share")

    @property
    def focus(self) -> float:
        """The measured size nearest to the question's (on a log scale); the largest without one."""
        asked = self.recommendation.choice.get("num_params")
        if asked is None and self.recommendation.curves is not None:
            asked = self.recommendation.curves.num_params
        if asked is None or not np.isfinite(asked) or not np.isfinite(self.sizes).all():
            return self.sizes[-1]
        return min(self.sizes, key=lambda n: abs(np.log(n / asked)))

    @property
    def has_base(self) -> bool:
        """Whether the table knows the loss of the base."""
        return bool(np.isfinite(self.observations.columns.get("base_loss", np.array([np.nan]))).any())

    @property
    def on_line(self) -> bool:
        """Whether the domain share tells the shares of all corpora, as it does where there are two."""
        x, columns = self.x(self.observations), self.observations.columns
        others = [column for name, column in columns.items() if name.startswith("share_") and np.isfinite(column).all()]
        if len(others) < 3 or not np.isfinite(x).all():
            return True
        lines = [(straight(x, column), column) for column in others]
        return all(np.abs(start + slope * x - column).max() <= APART for (slope, start), column in lines)

    def rows(self, corpus: str, size: float | None = None) -> Observations:
        """The rows of one corpus, and of one size."""
        table = self.observations.where(self.observations.domain == corpus)
        if size is None or not np.isfinite(size):
            return table
        return table.where(table["num_params"] == size)

    def final(self, corpus: str, size: float | None = None) -> Observations:
        """The last row of every run."""
        table = self.rows(corpus, size)
        return table.where(last_rows(table))

    def x(self, table: Observations) -> Array:
        """The domain's achieved share of each row (n,)."""
        if "domain_share" in table.columns:
            return table["domain_share"]
        if f"share_{self.domain}" in table.columns:
            return table[f"share_{self.domain}"]
        if "general_share" in table.columns and set(self.corpora) <= {self.domain, self.general}:
            return 1 - table["general_share"]
        share = table["share"] if "share" in table.columns else np.full(len(table), np.nan)
        return np.where(table.domain == self.domain, share, 1 - share)


def last_rows(table: Observations) -> NDArray[np.bool_]:
    """(n,) true where no row of the same run and corpus has more tokens."""
    clock = table["tokens"] if "tokens" in table.columns else np.arange(len(table), dtype=float)
    last: dict[tuple[str, str], float] = {}
    keys = list(zip(table.run.tolist(), table.domain.tolist(), strict=True))
    for key, tokens in zip(keys, clock.tolist(), strict=True):
        last[key] = max(last.get(key, -np.inf), tokens)
    return np.array([last[key] == tokens for key, tokens in zip(keys, clock.tolist(), strict=True)], bool)


def straight(x: Array, y: Array) -> tuple[float, float]:
    """Slope and start of the least-squares line through x (n,), y (n,); slope 0 where x does not vary."""
    spread = float(np.sum((x - x.mean()) ** 2))
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / spread) if spread > 0 else 0.0
    return slope, float(y.mean() - slope * x.mean())


def repeats(x: Array, decimals: int = 2) -> list[NDArray[np.intp]]:
    """Indices of the rows that share an x up to rounding (repeats by seed), by rising x; NaN last."""
    keys, which = np.unique(np.round(x, decimals), return_inverse=True)
    return [np.flatnonzero(which == k) for k in range(len(keys))]
