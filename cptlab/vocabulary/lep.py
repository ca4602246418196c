"""`vocab=lep`: the tokens of an adapted base given to an instruct model of the same base."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.variants import variant
from cptlab.vocabulary.base import Vocab, check_fields

if TYPE_CHECKING:
    from cptlab.vocabulary.building.old import OldBase
    from cptlab.vocabulary.building.rows import NewVocabulary
    from cptlab.vocabulary.building.text import Text


@variant("vocab", "lep")
@dataclass(kw_only=True)
class LearnedEmbeddingPropagation(Vocab):
    """`model` is the instruct model, `base` what it was tuned from, `adapted` that base after CPT with new tokens."""

    base: str = ""  # folder or run of the base with its old tokens; required
    adapted: str = ""  # folder or run of the base that was trained with new tokens; required
    copy_special: bool = False  # copy the instruct model's rows of every special token, not only of those it added
    pad_to: int = 64  # [row] embeddings have a multiple of this many; 1 = no padding

    def __post_init__(self) -> None:
        check_fields(self.pad_to)
        for name in ("base", "adapted"):
            if not getattr(self, name):
                raise UserError(f"vocab=lep needs vocab.{name}=FOLDER, a Hugging Face folder or a run")

    def make(self, old: OldBase, text: Text) -> NewVocabulary:
        """The adapted tokenizer, with the special tokens that the instruct model added."""
        import json

        from cptlab.models.tensor_files import model_folder
        from cptlab.vocabulary.building.edit import with_special
        from cptlab.vocabulary.building.old import open_base, special_ids
        from cptlab.vocabulary.building.propagate import Propagated
        from cptlab.vocabulary.building.rows import NewVocabulary, means
        from cptlab.vocabulary.building.surface import cutter, surfaces

        base = open_base(model_folder(self.base, "vocab.base"))
        adapted = open_base(model_folder(self.adapted, "vocab.adapted"))
        check_family(old, base, adapted)
        new, names = adapted.tokenizer, adapted.names
        known = set(names.values())
        special = special_ids(old.tokenizer)
        added = [content for content in special.values() if content not in known]
        spec = with_special(json.loads(new.backend.to_str()), new.vocab_size, added)
        places = {content: i for i, content in enumerate(added, new.vocab_size)} | {
            content: i for i, content in names.items()
        }
        copied = {
            places[content]: index
            for index, content in special.items()
            if self.copy_special or content in added or content not in base.names.values()
        }
        cut, bytes_of = cutter(base.tokenizer), surfaces(new)
        same = {token: index for index, token in base.names.items()}
        apart = set(special_ids(new))
        pieces = [
            []
            if index in apart or index not in names
            else [same[names[index]]]
            if names[index] in same
            else cut(bytes_of[index])
            for index in range(new.vocab_size)
        ]
        tables = {"input": (base.inputs(), adapted.inputs())}
        heads = base.output(), adapted.output()
        if heads[0] is not None and heads[1] is not None:
            tables["output"] = heads[0], heads[1]
        ids = {index: places[token] for index, token in old.names.items() if token in places}
        rows = Propagated(new.vocab_size + len(added), means(pieces, base.tokenizer.vocab_size), tables, copied)  # type: ignore[arg-type]
        counts = {"propagated": new.vocab_size - len(copied) + len(added), "copied": len(copied)}
        eos = old.names[old.tokenizer.eos_id]
        return NewVocabulary(spec, eos, rows, ids, counts, {}, old.folder)

    def identity(self) -> dict:
        """The two other models by their weights."""
        hashes = {"base": weights_at(self.base, "vocab.base"), "adapted": weights_at(self.adapted, "vocab.adapted")}
        return {"variant": "lep", **hashes, "copy_special": self.copy_special, "pad_to": self.pad_to}

    def sample(self) -> tuple[list[str], float]:
        """No token is chosen: text is for the report of fertility alone."""
        return [], 1.0


@cache
def weights_at(path: str, key: str) -> str:
    """SHA-256 of the weights in a folder or run."""
    from cptlab.models.base import weights_sha256
    from cptlab.models.tensor_files import model_folder

    return weights_sha256(Path(model_folder(path, key)))


def check_family(instruct: OldBase, base: OldBase, adapted: OldBase) -> None:
    """UserError unless the three models belong together."""
    width = instruct.inputs().shape[1]
    for name, other in (("base", base), ("adapted", adapted)):
        if other.inputs().shape[1] != width or other.ends.tied != instruct.ends.tied:
            raise UserError(
                f"vocab.{name}: {other.folder} has embeddings {other.inputs().shape[1]} wide"
                f" ({'tied' if other.ends.tied else 'untied'}) and the instruct model {width}"
                f" ({'tied' if instruct.ends.tied else 'untied'}); name models of one family and size"
            )
        if len(other.ends.outputs) > 1:
            raise UserError(f"vocab.{name}: {other.folder} has a head with a bias, which vocab=lep does not propagate")
    places = instruct.names
    if wrong := [token for index, token in base.names.items() if places.get(index) != token]:
        raise UserError(
            f"vocab.base: {base.folder} has the token {wrong[0]!r} where the instruct model has another ({len(wrong)}"
            " differ); name the base that the instruct model was tuned from"
        )
