"""`vocab=replace`: another tokenizer; tokens that both have keep their embedding, the others get one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.variants import variant
from cptlab.vocabulary.base import Vocab, check_fields

if TYPE_CHECKING:
    from cptlab.data.tokenizer import Tokenizer
    from cptlab.vocabulary.building.old import OldBase
    from cptlab.vocabulary.building.rows import NewVocabulary
    from cptlab.vocabulary.building.text import Text


@variant("vocab")
@dataclass(kw_only=True)
class Replace(Vocab):
    """A tokenizer of the new language alone, trained here (byte-level BPE) or given.

    ChocoLlama (arXiv 2412.07633) replaces so, with a Dutch tokenizer. Two tokens are one if they stand for the same
    bytes, however their tokenizers write them; special tokens if they have the same name. The end of text keeps its
    embedding whatever it is called.
    """

    tokenizer: str = ""  # folder or hub name of the new tokenizer; "" = a byte-level BPE is trained on the text
    size: int = 8192  # [token] of the one that is trained, special tokens of the base left out; 257 or more
    init: str = "mean"  # mean of the old tokenizer's sub-tokens, or focus: mean of similar tokens that both have
    corpora: list[str] = field(default_factory=list)  # whose text it is trained on; [] = all but data.general
    sample_bytes: float = 1e7  # [byte] of that text, at most; training documents only
    pad_to: int = 64  # [row] embeddings have a multiple of this many; 1 = no padding

    def __post_init__(self) -> None:
        check_fields(self.pad_to, self.sample_bytes, self.init)
        if self.size < 257:
            raise UserError(f"vocab.size is {self.size}; 256 bytes and an end of text need 257")

    def make(self, old: OldBase, text: Text) -> NewVocabulary:
        """Overlap by bytes; the base's special tokens are carried over to a tokenizer that is trained here."""
        import json

        from cptlab.vocabulary.building.edit import with_special
        from cptlab.vocabulary.building.initial import rows_of_added
        from cptlab.vocabulary.building.old import special_ids
        from cptlab.vocabulary.building.rows import NewVocabulary
        from cptlab.vocabulary.building.write import reloaded

        new = self.given_or_trained(text)
        spec = json.loads(new.backend.to_str())
        names = new.backend.get_vocab(with_added_tokens=True)
        eos = next(token for token, index in names.items() if index == new.eos_id)
        if not self.tokenizer:
            carried = [c for i, c in special_ids(old.tokenizer).items() if c not in names and i != old.tokenizer.eos_id]
            spec = with_special(spec, new.vocab_size, carried)
            new = reloaded(spec, eos)
        ids = overlap(old.tokenizer, new)
        rows, notes = rows_of_added(old, new, ids, self.init, text)
        counts = {"kept": len(ids), "added": new.vocab_size - len(ids), "dropped": old.tokenizer.vocab_size - len(ids)}
        chat = Path(self.tokenizer) if self.tokenizer and Path(self.tokenizer).is_dir() else None
        return NewVocabulary(spec, eos, rows, ids, counts, notes, chat)

    def given_or_trained(self, text: Text) -> Tokenizer:
        """The new tokenizer."""
        from cptlab.data.tokenizer import load_tokenizer, train_bpe

        if self.tokenizer:
            return load_tokenizer(self.tokenizer)
        with tempfile.TemporaryDirectory() as folder:
            train_bpe(text.train, self.size, Path(folder))
            return load_tokenizer(folder)

    def identity(self) -> dict:
        """Name and fields, a given tokenizer by its content."""
        from cptlab.data.tokenizer import load_tokenizer

        given = load_tokenizer(self.tokenizer).hash if self.tokenizer else ""
        return {"variant": "replace", **self.__dict__, "tokenizer": given}

    def sample(self) -> tuple[list[str], float]:
        """The new language."""
        return self.corpora, self.sample_bytes


def overlap(old: Tokenizer, new: Tokenizer) -> dict[int, int]:
    """{old id: new id} of tokens that stand for the same bytes, special ones by name, and of the end of text."""
    from cptlab.vocabulary.building.old import special_ids
    from cptlab.vocabulary.building.surface import surfaces

    special_old, special_new = special_ids(old), special_ids(new)
    found = {content: index for index, content in special_new.items()}
    ids = {index: found[content] for index, content in special_old.items() if content in found}
    places = {surface: index for index, surface in surfaces(new).items() if index not in special_new}
    for index, surface in sorted(surfaces(old).items()):
        if index not in special_old and surface in places:
            ids[index] = places.pop(surface)
    ids = {before: after for before, after in ids.items() if after != new.eos_id or before == old.eos_id}
    return ids | {old.eos_id: new.eos_id}
