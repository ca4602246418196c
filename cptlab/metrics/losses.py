"""The loss of a corpus in the units that readers ask for: nats per token, perplexity, bits per byte, change.

    perplexity = exp(loss)            bits per byte = loss / (ln 2 x bytes per token)

Perplexities of different tokenizers do not compare; bits per byte do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from cptlab.metrics.curves import Curve
from cptlab.metrics.measured import Measured


@dataclass(frozen=True)
class CorpusLoss:
    """One corpus at one step. base, change, forgetting: None in a run that was not measured before its first update.

    change = loss - base loss. forgetting = loss - lowest loss measured before, the base's included (LAWS.md 7): the
    change where the corpus only got worse, negative where it is better than ever. The minimum is over measured losses,
    so noise alone makes it a little larger than 0.
    """

    domain: str
    loss: Measured
    perplexity: Measured
    bits_per_byte: Measured
    base: Measured | None
    change: Measured | None
    forgetting: Measured | None

    def to_json(self) -> dict[str, Any]:
        """{name: {value, se, unit}}."""
        names = ("loss", "perplexity", "bits_per_byte", "base", "change", "forgetting")
        found = {name: getattr(self, name) for name in names}
        return {name: value.to_json() if value else None for name, value in found.items()}


def corpus_loss(curve: Curve) -> CorpusLoss:
    """The last row of a curve."""
    last = len(curve.loss) - 1
    loss = curve.at(last)
    started = curve.has_base and last > 0
    return CorpusLoss(
        curve.domain, loss, perplexity(loss), bits_per_byte(loss, float(curve.bytes_per_token[last])),
        curve.at(0) if curve.has_base else None,
        curve.change(last) if curve.has_base else None,
        curve.change(last, int(np.argmin(curve.loss[:last]))) if started else None,
    )  # fmt: skip


def perplexity(loss: Measured) -> Measured:
    """exp(loss), its standard error to first order: perplexity x that of the loss."""
    value = math.exp(loss.value) if loss.value < 700 else math.inf
    return Measured(value, "1", None if loss.se is None else value * loss.se)


def bits_per_byte(loss: Measured, bytes_per_token: float) -> Measured:
    """loss [nat/token] / (ln 2 x bytes per token), the bytes taken as exact."""
    scale = 1 / (math.log(2) * bytes_per_token)
    return Measured(loss.value * scale, "bit/byte", None if loss.se is None else loss.se * scale)
