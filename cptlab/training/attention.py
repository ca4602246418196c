"""The mask of packed rows: a token sees the earlier tokens of its own document and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def document_mask(position_ids_BT: Tensor) -> Tensor:
    """(B, 1, T, T) bool, true where the query (third axis) may look; a position of 0 starts a document.

    Given to transformers as a ready mask: with a two-dimensional mask it would ignore the documents.
    """
    import torch

    document = (position_ids_BT == 0).cumsum(-1)
    same = document[:, None, :, None] == document[:, None, None, :]
    length = position_ids_BT.shape[-1]
    return same & torch.ones(length, length, dtype=torch.bool, device=position_ids_BT.device).tril()
