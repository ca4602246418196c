"""Model, head and loss as one module: what is sharded, compiled and run under autocast together."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from cptlab.training.attention import document_mask
from cptlab.training.objective import Objective

Inputs = dict[str, Tensor]  # input_ids, labels, position_ids, each (B, T)


class Network(nn.Module):
    """`forward` gives losses without ever holding the logits of a batch where the head is a plain matrix."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model  # of transformers, perhaps wrapped by an adapter
        self.objective = objective
        inner = cast(PreTrainedModel, model.get_base_model() if hasattr(model, "get_base_model") else model)  # type: ignore[operator]
        self.inner = [inner]  # in a list: its parameters are those of `model` already
        self.head_is_last = head_is_last(inner)

    def forward(self, batch: Inputs, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(scalar to minimise, losses (B, T) [nat], 0 where the label is ignored).

        scale: weight of each token, () or (B, T); None = 1 over the number of labels.
        """
        labels = batch["labels"].flatten()
        if scale is None:
            scale = 1.0 / (labels >= 0).sum()
        scale = scale.expand(batch["labels"].shape).flatten()
        inner = self.inner[0]
        if self.head_is_last:
            hidden = self._body(inner)(**self._inputs(batch)).last_hidden_state
            head = cast(nn.Module, inner.get_output_embeddings())
            total, losses = self.objective.loss(hidden.flatten(0, 1), head, labels, scale)
        else:
            logits = self.logits(batch).flatten(0, 1)
            total, losses = self.objective.loss(logits, nn.Identity(), labels, scale)
        return total, losses.view_as(batch["labels"])

    def logits(self, batch: Inputs) -> Tensor:
        """(B, T, V), whole."""
        return self.inner[0](**self._inputs(batch)).logits

    @staticmethod
    def _body(inner: PreTrainedModel) -> nn.Module:
        return cast(nn.Module, inner.base_model)

    def _inputs(self, batch: Inputs) -> dict:
        mask = document_mask(batch["position_ids"])
        return {"input_ids": batch["input_ids"], "position_ids": batch["position_ids"], "attention_mask": mask,
                "use_cache": False}  # fmt: skip


def head_is_last(model: PreTrainedModel) -> bool:
    """Whether logits are the head applied to the body's last hidden state, with no cap or scale behind it."""
    head, body = model.get_output_embeddings(), model.base_model
    if head is None or body is model:
        return False
    names = (
        "final_logit_softcapping",
        "logit_scale",
        "logits_scaling",
        "lm_head_multiplier",
        "output_multiplier_scale",
    )
    if any(getattr(model.config, name, None) not in (None, 1.0) for name in names):
        return False
    if next(model.parameters()).is_meta:
        return True
    ids = torch.tensor([[1, 2, 3]], device=model.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        hidden = body(input_ids=ids, use_cache=False).last_hidden_state
        same = torch.allclose(head(hidden), model(input_ids=ids, use_cache=False).logits, atol=1e-4)
    model.train(was_training)
    return same
