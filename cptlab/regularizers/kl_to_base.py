"""`regularizer=kl_to_base`: on old text the run is to predict what its base predicted.

Learning without forgetting (Li & Hoiem 2017, arXiv 1606.09282), here on rows of old text: a token of these rows costs
its cross-entropy and strength * KL(base || model). Of the base's distribution the `top_k` likeliest tokens are kept and
the rest is one event:

    KL_k = sum over top k of q log(q / p) + q_rest log(q_rest / p_rest)   [nat],  0 <= KL_k <= KL,

equal to KL at top_k = vocabulary, and with the same zero gradient where model and base agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from cptlab.errors import UserError
from cptlab.regularizers.base import Regularizer, described, one_of, zero_or_more
from cptlab.variants import variant

ROWS = ("replayed", "general", "all")
SOURCES = ("pass", "stored")


@variant("regularizer", "kl_to_base")
@dataclass(kw_only=True)
class KLToBase(Regularizer):
    """source=pass: the base's weights (of an adapter: those of its start) change places with the trained ones for one
    forward pass of the rows in question. source=stored: the base answers for all rows before the first step.
    """

    strength: float = 1.0  # 0 or more
    rows: str = "replayed"  # replayed (by `replay`), general (of the general corpus, whoever drew them) or all
    top_k: int = 64  # tokens of the base's distribution that are told apart, 1 or more
    source: str = "pass"  # pass or stored
    offload: bool = False  # source=pass: the base's weights wait in CPU memory; slower, changes no number

    kept: ClassVar[tuple[str, ...]] = ("anchor",)

    def __post_init__(self) -> None:
        zero_or_more("strength", self.strength)
        one_of("rows", self.rows, ROWS)
        one_of("source", self.source, SOURCES)
        if self.top_k < 1:
            raise UserError(f"regularizer.top_k is {self.top_k}; it must be 1 or more")

    def identity(self, weights: Path | None) -> dict:
        """Name and fields; where the base's answers come from changes rounding alone, and stays in."""
        return described(self)

    def check(self, replay: Any, mixture: Any) -> None:
        """There are rows to compare on, known beforehand where the base answers beforehand."""
        steps = 1000  # of any run
        if self.source == "stored" and min(each.planned_at_start(steps) for each in (replay, mixture)) < steps:
            raise UserError(
                "regularizer.source=stored asks the base before the first step, and which rows come is decided while"
                " the run trains; use regularizer.source=pass"
            )
        if self.rows == "replayed" and replay.variant_name == "none":
            raise UserError(
                "regularizer=kl_to_base compares with the base on replayed rows and replay is none; use replay=fixed,"
                " or set regularizer.rows to general or all"
            )
        if self.rows == "replayed" and not replay.trains_on_rows:
            raise UserError(
                f"regularizer=kl_to_base on replayed rows would minimise nothing: replay={replay.variant_name} does not"
                " train on them, their gradient only bends that of the others; set regularizer.rows=all, or use another"
                " replay (replay=fixed, mer)"
            )

    def check_data(self, corpora: Sequence[str], general: str, weights: Path | None) -> None:
        """General rows need a general corpus."""
        if self.rows == "general" and not general:
            raise UserError("regularizer.rows is general and the study names no general corpus; set data.general")
