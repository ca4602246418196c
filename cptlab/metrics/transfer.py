"""Forgetting, retained, learned (MER, Abbes et al. 2025, arXiv 2508.01908) and transfer (GEM, Lopez-Paz & Ranzato 2017,
arXiv 1706.08840), of losses: L[s, c] is the loss of corpus c after stage s, s = 0 the base, s = T the last stage.

    forgetting(c) = L[T, c] - min_{s < T} L[s, c]                     mean: over corpora trained on before
                                                                      the last stage
    retained      = mean_c L[T, c]                                    c: corpora that some stage trained on, that of
                                                                      the base among them
    learned       = mean_{s >= 1} L[s, c_s]                           c_s: the corpus of stage s
    backward(c)   = L[s_c, c] - L[T, c],      s_c < T: the last stage that trained on c
    forward(c)    = L[0, c] - L[s_c - 1, c],  s_c >= 2: the first stage that trained on c
    gain[s, c]    = L[s - 1, c] - L[s, c]                             the transfer matrix

Transfers and gains are positive where the loss fell, as GEM's are where the accuracy rose. As there, the means leave
out what was not trained on in the stream: the base's own corpus has a `backward`, minus what the stream cost it, that
is not in their mean. It is in those of `forgetting` and `retained`: there it is the first task, as the first language
is in MER's streams. A corpus that no stage trained on is in none of these means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.metrics.measured import Measured, finite, mean
from cptlab.metrics.stages import StageMatrix


@dataclass(frozen=True)
class Transfer:
    """Everything above; the means are NaN where no corpus has a value. gain, gain_se: (stages - 1, corpora)."""

    matrix: StageMatrix
    forgetting: dict[str, Measured]
    forgetting_mean: Measured
    retained: Measured
    learned: Measured
    backward: dict[str, Measured]
    backward_mean: Measured
    forward: dict[str, Measured]
    forward_mean: Measured
    gain: NDArray[np.float64]
    gain_se: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Numbers with their units; the matrices as lists of rows."""
        m = self.matrix
        means = ("forgetting_mean", "retained", "learned", "backward_mean", "forward_mean")
        single = {name: getattr(self, name) for name in means}
        each = {name: getattr(self, name) for name in ("forgetting", "backward", "forward")}
        return {
            "stages": list(m.stages), "trained": list(m.trained), "corpora": list(m.corpora), "unit": "nat/token",
            "loss": m.loss.tolist(), "loss_se": _plain(m.se),
            "gain": self.gain.tolist(), "gain_se": _plain(self.gain_se),
            **{name: value.to_json() for name, value in single.items()},
            **{name: {c: value.to_json() for c, value in values.items()} for name, values in each.items()},
        }  # fmt: skip


def transfer(m: StageMatrix) -> Transfer:
    """Of a stream of domains."""
    T = m.last
    stages_of = {corpus: m.trained_at(corpus) for corpus in m.corpora}
    forgetting = {c: m.change(T, _best(m, c), c) for c in m.corpora}
    before = [c for c, at in stages_of.items() if at and at[0] < T]
    backward = {c: _gain(m, T, max(stages_of[c]), c) for c in before if max(stages_of[c]) < T}
    forward = {c: _gain(m, at[0] - 1, 0, c) for c, at in stages_of.items() if at and at[0] >= 2}
    seen = [c for c, at in stages_of.items() if at]
    in_stream = [c for c in backward if any(s >= 1 for s in stages_of[c])]
    pairs = [[_gain(m, s, s - 1, c) for c in m.corpora] for s in range(1, T + 1)]
    return Transfer(
        m, forgetting, mean([forgetting[c] for c in before]), mean([m.at(T, c) for c in seen]),
        mean([m.at(s, name) for s, name in enumerate(m.trained) if s and name]),
        backward, mean([backward[c] for c in in_stream]), forward, mean(list(forward.values())),
        np.array([[one.value for one in row] for row in pairs]),
        np.array([[np.nan if one.se is None else one.se for one in row] for row in pairs]),
    )  # fmt: skip


def _best(m: StageMatrix, corpus: str) -> int:
    """The stage before the last with the lowest loss of a corpus."""
    return int(np.argmin(m.loss[: m.last, list(m.corpora).index(corpus)]))


def _gain(m: StageMatrix, stage: int, before: int, corpus: str) -> Measured:
    change = m.change(stage, before, corpus)
    return Measured(-change.value, change.unit, change.se)


def _plain(values: NDArray[np.float64]) -> list[list[float | None]]:
    return [[finite(float(value)) for value in row] for row in values]
