"""`vocab=extend`: new tokens behind the base's own, which keep their ids, embeddings and logits."""

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
class Extend(Vocab):
    """Merges are learnt on the new language on top of the base's (continued BPE training).

    Chinese-LLaMA (arXiv 2304.08177), LLaMA Beyond English (2401.01055) and Vi-Mistral-X (2403.15470) extend so, with
    sentencepiece models trained apart and joined.
    """

    tokens: int = 1000  # new tokens, at most: fewer where the text has no more pairs to merge
    init: str = "mean"  # mean of the sub-tokens, or focus: mean of similar old tokens
    min_frequency: int = 2  # times that a pair must come to be merged
    corpora: list[str] = field(default_factory=list)  # whose text tokens are learnt on; [] = all but data.general
    sample_bytes: float = 1e7  # [byte] of that text, at most; training documents only
    pad_to: int = 64  # [row] embeddings have a multiple of this many; 1 = no padding

    def __post_init__(self) -> None:
        check_fields(self.pad_to, self.sample_bytes, self.init)
        if self.tokens < 1 or self.min_frequency < 1:
            raise UserError(
                f"vocab.tokens={self.tokens} and vocab.min_frequency={self.min_frequency} must be 1 or more"
            )

    def make(self, old: OldBase, text: Text) -> NewVocabulary:
        """Characters that the base spells in bytes first, then merges."""
        from cptlab.vocabulary.building.continued_bpe import learn, missing_characters, refuse_other_models
        from cptlab.vocabulary.building.edit import with_tokens
        from cptlab.vocabulary.building.initial import rows_of_added
        from cptlab.vocabulary.building.rows import NewVocabulary
        from cptlab.vocabulary.building.write import reloaded

        refuse_other_models(old.spec, "vocab=extend", "use vocab=replace")
        first = old.tokenizer.vocab_size
        characters = missing_characters(old.tokenizer, text.train, self.tokens, self.min_frequency)
        spec = with_tokens(old.spec, first, characters, [])
        eos = old.names[old.tokenizer.eos_id]
        learnt = learn(reloaded(spec, eos), text.train, self.tokens - len(characters), self.min_frequency)
        spec = with_tokens(spec, first + len(characters), learnt.tokens, learnt.merges)
        added = len(characters) + len(learnt.tokens)
        if not added:
            raise UserError(
                "vocab=extend found no pair of tokens that comes vocab.min_frequency="
                f"{self.min_frequency} times in the text; give it more text, or use vocab=none"
            )
        ids = {index: index for index in range(first)}
        rows, notes = rows_of_added(old, reloaded(spec, eos), ids, self.init, text)
        counts = {"kept": len(ids), "added": added, "asked_for": self.tokens}
        return NewVocabulary(spec, eos, rows, ids, counts, notes)

    def identity(self) -> dict:
        """Name and fields."""
        return {"variant": "extend", **self.__dict__}

    def sample(self) -> tuple[list[str], float]:
        """The new language."""
        return self.corpora, self.sample_bytes
