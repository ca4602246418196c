"""Parameter groups: which weights decay, which are hidden matrices, and what LR a group gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def kinds(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """(kind, parameter) of every trainable parameter in the model's order, kind as in `optimizers.base.DECAY_KINDS`.

    embeddings: input and output ones (the head, tied or not). matrices: all others of two or more dimensions.
    biases: vectors of that name. norms: every other vector (gains of norms, magnitudes of DoRA).
    """
    ends = embedding_ids(model)
    return [(kind(name, p, ends), p) for name, p in model.named_parameters() if p.requires_grad]


def embedding_ids(model: nn.Module) -> set[int]:
    """id() of the weights of input embeddings and of the head, wherever in `model` the language model sits."""
    from torch import nn

    found = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    heads = [m.get_output_embeddings() for m in model.modules() if hasattr(m, "get_output_embeddings")]  # type: ignore[operator]
    return found | {id(head.weight) for head in heads if head is not None}


def kind(name: str, parameter: nn.Parameter, ends: set[int]) -> str:
    """Kind of one parameter; a DTensor counts by its global shape."""
    if id(parameter) in ends:
        return "embeddings"
    if parameter.ndim >= 2:
        return "matrices"
    return "biases" if name.rpartition(".")[2] == "bias" else "norms"


def split_hidden(
    weights: Sequence[tuple[str, nn.Parameter]],
) -> tuple[list[nn.Parameter], list[tuple[str, nn.Parameter]]]:
    """(hidden matrices of exactly two dimensions, (kind, parameter) of all the others)."""
    hidden = [p for k, p in weights if k == "matrices" and p.ndim == 2]
    return hidden, [(k, p) for k, p in weights if not (k == "matrices" and p.ndim == 2)]


def decay_groups(weights: Sequence[tuple[str, nn.Parameter]], decay: float, no_decay: Sequence[str]) -> list[dict]:
    """Groups of torch's kind: what decays, then what does not. See `filled` for an empty one."""
    return filled(
        [
            {"params": [p for k, p in weights if k not in no_decay], "weight_decay": decay},
            {"params": [p for k, p in weights if k in no_decay], "weight_decay": 0.0},
        ]
    )


def filled(groups: Sequence[dict]) -> list[dict]:
    """The groups that hold parameters: a distributed checkpoint gives an empty one back without its LR."""
    return [group for group in groups if group["params"]]


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Set the LR of every group: `lr`, times the group's own `lr_scale` if it has one.

    torchao keeps its LR in a tensor, so that its compiled step is not compiled again at every value.
    """
    from torch import Tensor

    for group in optimizer.param_groups:
        scaled = lr * group.get("lr_scale", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(scaled)
        else:
            group["lr"] = scaled
