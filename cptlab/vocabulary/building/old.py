"""The base whose vocabulary is to change: its tokenizer, its tensors and where its embeddings lie."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.tokenizer import Tokenizer, load_tokenizer
from cptlab.errors import UserError
from cptlab.models.ends import Ends, ends_of
from cptlab.models.tensor_files import TensorFolder

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class OldBase:
    """A Hugging Face folder, opened; no tensor of it is in memory."""

    folder: Path
    tensors: TensorFolder
    ends: Ends
    tokenizer: Tokenizer

    @property
    def spec(self) -> dict[str, Any]:
        """A copy of its tokenizer.json."""
        return json.loads(self.tokenizer.backend.to_str())

    @property
    def names(self) -> dict[int, str]:
        """{id: token}, added ones too."""
        return token_names(self.tokenizer)

    def inputs(self) -> Tensor:
        """(rows, width) input embeddings."""
        return self.tensors[self.ends.inputs[0]]

    def output(self) -> Tensor | None:
        """(rows, width) head; None where it is tied to the input embeddings."""
        return self.tensors[self.ends.outputs[0]] if self.ends.outputs else None


def open_base(folder: Path) -> OldBase:
    """UserError where tokenizer and embeddings do not fit together."""
    tensors = TensorFolder(folder)
    ends, tokenizer = ends_of(tensors), load_tokenizer(str(folder))
    if tokenizer.vocab_size > ends.rows:
        raise UserError(
            f"{folder}: its tokenizer has {tokenizer.vocab_size} tokens but the model embeds {ends.rows}; the tokens"
            " from there on have no embedding that new ones could come of, so put the model's own tokenizer there"
        )
    return OldBase(folder, tensors, ends, tokenizer)


def token_names(tokenizer: Tokenizer) -> dict[int, str]:
    """{id: token}, added ones too."""
    return {index: token for token, index in tokenizer.backend.get_vocab(with_added_tokens=True).items()}


def special_ids(tokenizer: Tokenizer) -> dict[int, str]:
    """{id: content} of the special tokens."""
    return {i: added.content for i, added in tokenizer.backend.get_added_tokens_decoder().items() if added.special}
