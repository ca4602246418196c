"""A small language model that judges documents: a finished run of ours, or a Hugging Face folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cptlab.data.tokenizer import Tokenizer, load_tokenizer
from cptlab.errors import UserError, closest
from cptlab.models.base import config_sha256, load_pretrained, weights_sha256

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

KEY = "selection.model"


@dataclass(frozen=True)
class Judge:
    """A causal model with the tokenizer that it was trained with; reads the first `max_tokens` of a document."""

    model: PreTrainedModel
    tokenizer: Tokenizer
    max_tokens: int
    batch_documents: int = 16

    def losses(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Mean loss of each text's tokens after the first [nat/token]: (n,), NaN for a text of one token."""
        import torch

        found: list[float] = []
        for ids_BT, lengths_B in self._batches(texts):
            logits_BTV = self.model(input_ids=ids_BT[:, :-1], use_cache=False).logits.float()
            loss_BT = torch.nn.functional.cross_entropy(logits_BTV.mT, ids_BT[:, 1:], reduction="none")
            predicted_BT = torch.arange(loss_BT.shape[1]) < (lengths_B - 1)[:, None]
            found += ((loss_BT * predicted_BT).sum(1) / (lengths_B - 1)).tolist()  # 0 / 0 = NaN for one token
        return np.array(found, dtype=np.float64)

    def embeddings(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Mean over its tokens of each text's last hidden states: (n, width)."""
        import torch

        found = []
        for ids_BT, lengths_B in self._batches(texts):
            output = self.model(input_ids=ids_BT, use_cache=False, output_hidden_states=True)
            real_BT1 = (torch.arange(ids_BT.shape[1]) < lengths_B[:, None])[..., None]
            found.append(((output.hidden_states[-1].float() * real_BT1).sum(1) / lengths_B[:, None]).numpy())
        return np.concatenate(found).astype(np.float64)

    def _batches(self, texts: Iterable[str]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(B, T) ids, padded on the right, which a causal model never looks at, and (B,) lengths."""
        import torch

        batch: list[list[int]] = []

        def padded() -> tuple[torch.Tensor, torch.Tensor]:
            lengths = [len(ids) for ids in batch]
            rows = [ids + [self.tokenizer.eos_id] * (max(2, *lengths) - len(ids)) for ids in batch]
            return torch.tensor(rows), torch.tensor(lengths)

        with torch.no_grad():
            for ids in self.tokenizer.encode(texts):
                batch.append(ids[: self.max_tokens] or [self.tokenizer.eos_id])
                if len(batch) == self.batch_documents:
                    yield padded()
                    batch.clear()
            if batch:
                yield padded()


def model_folder(path: str) -> Path:
    """The folder with config.json and tokenizer.json that a run folder or a Hugging Face folder holds."""
    given = Path(path).expanduser()
    folder = given / "model" if (given / "model" / "config.json").is_file() else given
    if not (folder / "config.json").is_file():
        beside = [p.name for p in given.parent.iterdir()] if given.parent.is_dir() and not given.exists() else []
        raise UserError(
            f"{KEY}: {path} is neither a finished run nor a Hugging Face folder here.{closest(given.name, beside)}"
        )
    if not (folder / "tokenizer.json").is_file():
        raise UserError(f"{KEY}: {folder} has no tokenizer.json; a model can judge text only with its own tokenizer")
    return folder


def model_hash(path: str) -> str:
    """What determines a judge: weights, configuration and tokenizer; the path does not."""
    folder = model_folder(path)
    parts = [weights_sha256(folder), config_sha256(folder), load_tokenizer(str(folder)).hash]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def load_judge(path: str, max_tokens: int) -> Judge:
    """The model in fp32 on the CPU. UserError for a tokenizer that is not the model's."""
    folder = model_folder(path)
    tokenizer = load_tokenizer(str(folder))
    record = folder.parent / "run.json"
    if record.is_file() and (trained := json.loads(record.read_text("utf8")).get("tokenizer_hash")) != tokenizer.hash:
        raise UserError(
            f"{KEY}: the tokenizer in {folder} (hash {tokenizer.hash[:12]}) is not the one that the run was trained"
            f" with (hash {str(trained)[:12]}); restore the folder"
        )
    rows = json.loads((folder / "config.json").read_text("utf8")).get("vocab_size", tokenizer.vocab_size)
    if tokenizer.vocab_size > rows:
        raise UserError(
            f"{KEY}: the tokenizer in {folder} has {tokenizer.vocab_size} tokens but the model embeds {rows}"
        )
    return Judge(load_pretrained(folder, tokenizer.vocab_size, 1).eval(), tokenizer, max_tokens)
