"""Whether an exported folder is the run's own model: the same logits on the same tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

ROWS, LENGTH = 4, 64  # of the tokens that both models are shown
BOUND = 1e-4  # of the largest logit: what reloading may change before it is called broken


@dataclass(frozen=True)
class Difference:
    """Two sets of logits on the same tokens: largest difference, largest logit, mean KL divergence [nat/token]."""

    logit: float
    largest: float
    kl: float

    @property
    def exact(self) -> bool:
        """Bit for bit the same."""
        return self.logit == 0


def probe(model: PreTrainedModel) -> Tensor:
    """(ROWS, T) token ids, T = LENGTH or the model's longest row: the same ones for the same vocabulary."""
    import torch

    config = model.config.get_text_config()
    length = min(LENGTH, getattr(config, "max_position_embeddings", None) or LENGTH)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(config.vocab_size, (ROWS, length), generator=generator)


def logits(model: PreTrainedModel, tokens_BT: Tensor) -> Tensor:
    """(B, T, V) in fp32, computed in the precision of the weights."""
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=tokens_BT, use_cache=False).logits.float()


def difference(reference_BTV: Tensor, other_BTV: Tensor) -> Difference:
    """KL is of `other` from `reference`: sum_v p (log p - log q), mean over tokens."""
    reference, other = reference_BTV.double(), other_BTV.double()
    log_p, log_q = reference.log_softmax(-1), other.log_softmax(-1)
    kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    return Difference(float((reference - other).abs().max()), float(reference.abs().max()), float(kl))


def refuse_another_model(found: Difference, folder: Path) -> None:
    """UserError unless the reloaded model computes what the one that was saved does."""
    if not found.logit <= BOUND * found.largest:
        raise UserError(
            f"{folder}: the reloaded model is not the saved one (a logit differs by {found.logit:.3g}, the largest is"
            f" {found.largest:.3g}); this model type does not survive save_pretrained, nothing was exported"
        )
