"""`vocab=prune`: tokens that the text never needs are dropped, with their rows of both tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.variants import variant
from cptlab.vocabulary.base import Vocab, check_fields

if TYPE_CHECKING:
    from cptlab.vocabulary.building.old import OldBase
    from cptlab.vocabulary.building.rows import NewVocabulary
    from cptlab.vocabulary.building.text import Text


@variant("vocab")
@dataclass(kw_only=True)
class Prune(Vocab):
    """Text that was counted is cut as before, and the kept tokens have the logits that they had.

    Kept are the tokens that come `min_count` times, what their merges are made of, single bytes and characters, and
    special tokens. A corpus that `corpora` leaves out loses its tokens, not its text: it is cut smaller.
    """

    min_count: int = 1  # times that a token must come in the text
    corpora: list[str] = field(default_factory=list)  # whose text is counted; [] = all of data's
    sample_bytes: float = 1e8  # [byte] of that text, at most; training documents only
    pad_to: int = 64  # [row] embeddings have a multiple of this many; 1 = no padding

    def __post_init__(self) -> None:
        check_fields(self.pad_to, self.sample_bytes)
        if self.min_count < 1:
            raise UserError(f"vocab.min_count is {self.min_count}; it must be 1 or more")

    def make(self, old: OldBase, text: Text) -> NewVocabulary:
        """Count, close over merges, renumber."""
        import numpy as np

        from cptlab.vocabulary.building.continued_bpe import refuse_other_models
        from cptlab.vocabulary.building.edit import needed, with_only
        from cptlab.vocabulary.building.initial import rows_of_added
        from cptlab.vocabulary.building.rows import NewVocabulary
        from cptlab.vocabulary.building.write import reloaded

        refuse_other_models(old.spec, "vocab=prune", "use vocab=none")
        counts = np.zeros(old.tokenizer.vocab_size, np.int64)
        for ids in old.tokenizer.encode(text.train):
            np.add.at(counts, ids, 1)
        kept = needed(old.spec, np.flatnonzero(counts >= self.min_count).tolist())
        spec, ids = with_only(old.spec, kept)
        eos = old.names[old.tokenizer.eos_id]
        rows, _ = rows_of_added(old, reloaded(spec, eos), ids, "mean", text)
        numbers = {
            "kept": len(ids),
            "dropped": len(old.names) - len(ids),
            "used": int((counts >= self.min_count).sum()),
        }
        return NewVocabulary(spec, eos, rows, ids, numbers)

    def identity(self) -> dict:
        """Name and fields."""
        return {"variant": "prune", **self.__dict__}

    def sample(self) -> tuple[list[str] | None, float]:
        """The text that must be cut as before."""
        return self.corpora or None, self.sample_bytes
