"""`diagnostics.*`: what is measured beside the losses. It changes no number of a run, so the run_id leaves it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.adapters.base import Adapter


@dataclass
class Diagnostics:
    """Measured at every evaluation, the one before the first update included; kept in <run>/diagnostics.jsonl.

    Costs, with k corpora and P parameters, an evaluation: row_losses none; weight_drift one pass over the weights, and
    4 P bytes of host memory on the first process for the whole run; gradient_alignment k forward and backward passes
    over `rows` rows, and 2 k gradients (4 P bytes each, sharded as the weights are) on the device while they are
    compared; activation_kurtosis k forward passes over `rows` rows. Every process measures the same rows.
    """

    row_losses: bool = False  # losses of single evaluation rows: paired standard errors of changes
    weight_drift: bool = False  # |W - W_base| of each block; not with an adapter
    gradient_alignment: bool = False  # dot products of the corpora's gradients
    activation_kurtosis: bool = False  # of the features after each block, per corpus
    rows: int = 32  # rows of each corpus for gradients and kurtosis, at least 2

    def __post_init__(self) -> None:
        if self.rows < 2:
            raise UserError(f"diagnostics.rows is {self.rows}; it must be 2 or more, for the halves of a gradient")

    @property
    def any(self) -> bool:
        """Whether anything is to be measured."""
        return self.row_losses or self.weight_drift or self.gradient_alignment or self.activation_kurtosis

    def check(self, adapter: Adapter) -> None:
        """UserError for what cannot be measured."""
        if self.weight_drift and adapter.identity():
            raise UserError(
                "diagnostics.weight_drift compares the weights with the base's, which an adapter leaves as they are;"
                " leave it off, or train with adapter=none"
            )
