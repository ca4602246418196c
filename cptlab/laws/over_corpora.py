"""Laws over the shares of any number of corpora: inputs and parameters follow from the corpora's names."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.laws.base import Array, Law

PREFIX = "share_"


@dataclass(kw_only=True)
class OverCorpora(Law):
    """Base of the mixture laws; m corpora, one of them the reference.

    corpora: their names; empty = every share_<corpus> column of the table. reference: the corpus that the
    others are held against (its own coefficient would be a second name for the scale); empty = `general`
    where there is one, else the last. Their declarations stand on the object, not on the class.
    """

    tied: ClassVar = True  # the shares of a row sum to 1

    corpora: list[str] = field(default_factory=list)
    reference: str = ""

    def __post_init__(self) -> None:
        if not self.corpora:
            return
        if len(set(self.corpora)) < max(2, len(self.corpora)):
            raise UserError(f"law.corpora is {', '.join(self.corpora)}; give two or more names, each once")
        if not self.reference:
            self.reference = "general" if "general" in self.corpora else self.corpora[-1]
        if self.reference not in self.corpora:
            near = closest(self.reference, self.corpora)
            raise UserError(f"law.reference is {self.reference}, which is none of law.corpora.{near}")
        vars(self).update(self.declare([name for name in self.corpora if name != self.reference]))

    @abstractmethod
    def declare(self, others: list[str]) -> Mapping[str, Any]:
        """inputs, linear, shape, levels ... for these corpora. others: all but the reference."""

    def of_table(self, names: Iterable[str]) -> Law:
        """The law over the corpora of a table's share_<corpus> columns, unless its corpora are given."""
        if self.corpora:
            return self
        corpora = [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]
        if len(corpora) < 2:
            raise UserError(
                f"law={self.variant_name} reads the shares of two or more corpora, the table has "
                f"{', '.join(PREFIX + name for name in corpora) or 'no share_<corpus> column'}; add them."
            )
        return replace(self, corpora=corpora)

    def shares(self, columns: Mapping[str, Array], corpora: Iterable[str]) -> Array:
        """Shares of these corpora, (m, n)."""
        return np.stack([np.asarray(columns[PREFIX + name], float) for name in corpora])
