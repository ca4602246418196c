"""Whether models can be merged: the same tensors, the same shapes, the same ids for the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cptlab.data.corpus import digest_at
from cptlab.data.tokenizer import load_tokenizer
from cptlab.errors import UserError
from cptlab.models.tensor_files import FLOATS, TensorFolder


def check_tensors(folders: Sequence[TensorFolder], without: frozenset[str]) -> None:
    """UserError unless all have the tensors of the first, of its shapes; those in `without` may differ."""
    first = folders[0]
    for other in folders[1:]:
        for have, lack in ((first, other), (other, first)):
            if missing := sorted(set(have.entries) - set(lack.entries) - without):
                raise UserError(
                    f"{lack.path} has no tensor {missing[0]}, which {have.path} has ({len(missing)} are missing); merge"
                    " models of one architecture, saved by the same transformers"
                )
        for name in sorted(set(first.entries) - without):
            one, two = first.entries[name], other.entries[name]
            if one.shape != two.shape:
                grown = "; --keep-embeddings leaves those of the first model as they are" if wide(one, two) else ""
                raise UserError(
                    f"{name} is {list(one.shape)} in {first.path} and {list(two.shape)} in {other.path}; merge models"
                    f" of one size and vocabulary{grown}"
                )
            if (one.dtype in FLOATS) != (two.dtype in FLOATS):
                raise UserError(f"{name} is {one.dtype} in {first.path} and {two.dtype} in {other.path}; save both"
                                " as fp32 or bf16 first")  # fmt: skip


def wide(one: object, two: object) -> bool:
    """Whether two tensors differ in their first dimension alone: tables of different vocabularies."""
    a, b = one.shape, two.shape  # type: ignore[attr-defined]
    return len(a) == len(b) and a[1:] == b[1:]


def check_tokenizers(folders: Sequence[Path]) -> bool:
    """UserError where one id stands for two tokens. False where a folder has no tokenizer.json to compare."""
    if not all(digest_at(str(folder)) for folder in folders):
        return False
    known: dict[int, tuple[str, Path]] = {}
    for folder in folders:
        for token, index in load_tokenizer(str(folder)).backend.get_vocab(with_added_tokens=True).items():
            other, where = known.setdefault(index, (token, folder))
            if other != token:
                raise UserError(
                    f"token {index} is {other!r} in {where} and {token!r} in {folder}: the models have different"
                    " tokenizers, so rows of their embeddings mean different tokens; --keep-embeddings merges all but"
                    " those, vocab=lep carries embeddings over"
                )
    return True
