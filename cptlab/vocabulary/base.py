"""A vocab variant says which tokens a run has in place of its base's, and what their embeddings start as.

All of them are one linear map of the old rows: kept tokens keep their row to the bit, every other row is a weighted
mean of old ones. Equal weights over the sub-tokens that the old tokenizer cuts a token into are the mean
initialisation; weights over similar tokens are FOCUS; a selection alone is pruning; LEP applies the map that leads
from a base to its instruct model. The result is a base of its own, a Hugging Face folder with its tokenizer, so
sharding, resuming and exporting see a base like any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    from cptlab.vocabulary.building.old import OldBase
    from cptlab.vocabulary.building.rows import NewVocabulary
    from cptlab.vocabulary.building.text import Text

INITS = ("mean", "focus")


@dataclass(kw_only=True)
class Vocab(ABC):
    """`make` is called once; what it made is kept beside the corpora and found again."""

    @abstractmethod
    def make(self, old: OldBase, text: Text) -> NewVocabulary:
        """The new tokenizer and how its rows come of the old ones. UserError for a base that it cannot change."""

    @abstractmethod
    def identity(self) -> dict:
        """What determines the result beside base and text; {} without a change, so that older run_ids stay."""

    @abstractmethod
    def sample(self) -> tuple[list[str] | None, float]:
        """(corpora whose training documents `make` sees, [] = all but data.general, None = all; bytes at most)."""


def check_fields(pad_to: int, sample_bytes: float = 1.0, init: str = "mean") -> None:
    """UserError for a value outside its range."""
    if pad_to < 1:
        raise UserError(f"vocab.pad_to is {pad_to}; it must be 1 or more")
    if sample_bytes < 1:
        raise UserError(f"vocab.sample_bytes is {sample_bytes:g}; it must be 1 or more")
    if init not in INITS:
        raise UserError(f"vocab.init is {init}.{closest(init, INITS)}")
