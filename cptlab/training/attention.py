"""The mask of packed rows: a token sees the earlier tokens of its own document and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


def refuse_leaking_documents(model: PreTrainedModel) -> None:
    """UserError unless the model honours a document mask: document A must not change the logits of B.

    Some architectures (ALiBi, state-space, soft-capped attention) cannot take a ready mask, or ignore it.
    """
    import torch

    position_ids = torch.tensor([[0, 1, 2, 0, 1]])
    kind = model.config.model_type
    mask = document_mask(position_ids)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            one, other = (
                model(input_ids=torch.tensor([ids]), position_ids=position_ids, attention_mask=mask, use_cache=False)
                .logits[0, 3:].float()
                for ids in ([1, 2, 3, 4, 5], [3, 1, 1, 4, 5])
            )  # fmt: skip
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(
            f"model type {kind} takes no packed rows ({what}); use a Llama-like, GPT-2 or NeoX model"
        ) from error
    finally:
        model.train(was_training)
    if not torch.allclose(one, other, atol=1e-4):
        raise UserError(
            f"model type {kind} lets packed documents see each other; use a Llama-like, GPT-2 or NeoX model"
        )


def document_mask(position_ids_BT: Tensor) -> Tensor:
    """(B, 1, T, T) bool, true where the query (third axis) may look; a position of 0 starts a document.

    Given to transformers as a ready mask: with a two-dimensional mask it would ignore the documents.
    """
    import torch

    document = (position_ids_BT == 0).cumsum(-1)
    same = document[:, None, :, None] == document[:, None, None, :]
    length = position_ids_BT.shape[-1]
    return same & torch.ones(length, length, dtype=torch.bool, device=position_ids_BT.device).tril()
