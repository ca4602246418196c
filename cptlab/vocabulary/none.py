"""`vocab=none`: the base's own tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.variants import variant
from cptlab.vocabulary.base import Vocab

if TYPE_CHECKING:
    from cptlab.vocabulary.building.old import OldBase
    from cptlab.vocabulary.building.rows import NewVocabulary
    from cptlab.vocabulary.building.text import Text


@variant("vocab", "none")
@dataclass(kw_only=True)
class NoChange(Vocab):
    """Nothing is changed and nothing is built."""

    def make(self, old: OldBase, text: Text) -> NewVocabulary:
        """Never asked for."""
        raise NotImplementedError("vocab=none makes no vocabulary")

    def identity(self) -> dict:
        """Nothing."""
        return {}

    def sample(self) -> tuple[list[str], float]:
        """No text."""
        return [], 0.0
