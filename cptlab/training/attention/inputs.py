"""What a model's forward takes besides the tokens, so that packed documents stay apart: computed once a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptlab.training.attention.choice import STREAMED, Choice
from cptlab.training.attention.documents import (
    block_mask,
    cumulative_lengths,
    document_lengths,
    document_mask,
    has_inner_boundaries,
    to_device,
)

if TYPE_CHECKING:
    from torch import Tensor

CALL = 80 * 80  # scores of a head that a CPU computes in the time of one more call, forward and backward


def document_inputs(
    position_ids_BT: Tensor, choice: Choice, *, device: Any = None, causal: bool = True, by_document: bool = False
) -> dict[str, Any]:
    """Keyword arguments of a transformers forward: `model(input_ids=..., use_cache=False, **document_inputs(...))`.

    position_ids_BT: (B, T) integers, 0 where a document starts; give them on the CPU, with `device` where the model
    is. Positions that are on a GPU already are fetched, and the CPU then waits for all that the GPU still has to do.
    Besides position_ids, by backend:
    - eager: attention_mask (B, 1, T, T) float, 0 or the lowest float32;
    - sdpa: attention_mask (B, 1, T, T) bool, or an empty one if no row has an inner boundary; with `by_document`, on a
      CPU and where that is less work, an empty one and document_lengths, a tuple (a compiled graph would see a new one
      in every batch);
    - flex: an empty attention_mask and block_mask, a BlockMask;
    - varlen and flash: an empty attention_mask, cu_seq_lens_q and _k (N + 1,) int32, max_length_q and _k int.
    An empty mask (no numbers, four axes) is one that transformers leaves alone: without one it would make its own.
    is_causal=False is added if not `causal`.
    """
    here = position_ids_BT.device if device is None else device
    positions = position_ids_BT.cpu()
    found: dict[str, Any] = {} if causal else {"is_causal": False}
    found["position_ids"] = position_ids_BT if device is None else to_device(position_ids_BT, here)
    if choice.name in STREAMED:
        ends, longest = cumulative_lengths(positions)
        ends = to_device(ends, here)
        found |= {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}
        found["attention_mask"] = empty_mask(positions, here)
    elif choice.name == "flex":
        # In an argument of its own: some models (GPT-2) ask their attention_mask for what only a tensor has.
        found |= {"attention_mask": empty_mask(positions, here), "block_mask": block_mask(positions, causal, here)}
    elif choice.name == "sdpa" and not has_inner_boundaries(positions):
        found["attention_mask"] = empty_mask(positions, here)
    elif choice.name == "sdpa" and by_document and is_less_work(lengths := document_lengths(positions), positions):
        found |= {"attention_mask": empty_mask(positions, here), "document_lengths": tuple(lengths)}
    else:
        mask = document_mask(found["position_ids"], causal)
        found["attention_mask"] = mask if choice.name == "sdpa" else additive(mask)
    return found


def is_less_work(lengths: list[int], position_ids_BT: Tensor) -> bool:
    """Whether a CPU computes the documents one by one, half of each hidden, sooner than whole rows under a mask."""
    return sum(n * n / 2 + CALL for n in lengths) < position_ids_BT.shape[1] * position_ids_BT.numel()


def empty_mask(position_ids_BT: Tensor, device: Any) -> Tensor:
    """(B, 1, 0, 0): nothing is hidden, or the boundaries are told in another way."""
    import torch

    return torch.empty(len(position_ids_BT), 1, 0, 0, dtype=torch.bool, device=device)


def additive(mask: Tensor) -> Tensor:
    """0 where the mask is true and the lowest float32 elsewhere, to be added to scores."""
    import torch

    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, torch.finfo(torch.float32).min)
