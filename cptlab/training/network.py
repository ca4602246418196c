"""Model, head and loss as one module: what is sharded, compiled and run under autocast together."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from cptlab.training.attention import Choice, choose, document_inputs, install
from cptlab.training.attention.documents import to_device
from cptlab.training.objective import Objective

Rows = dict[str, Tensor]  # input_ids, labels, position_ids, each (B, T), and corpus (B,), on the CPU
Inputs = dict[str, Any]  # labels (B, T), corpus (B,) where it is known and, under `forward`, what the model takes


class Network(nn.Module):
    """`forward` gives losses without ever holding the logits of a batch where the head is a plain matrix."""

    def __init__(self, model: nn.Module, objective: Objective, attention: Choice | None = None) -> None:
        """attention: as installed in the model; None installs what `auto` takes on a CPU."""
        super().__init__()
        self.model = model  # of transformers, perhaps wrapped by an adapter
        self.objective = objective
        inner = cast(PreTrainedModel, model.get_base_model() if hasattr(model, "get_base_model") else model)  # type: ignore[operator]
        self.inner = [inner]  # in a list: its parameters are those of `model` already
        if attention is None:
            attention = choose("auto", "cpu", "fp32", inner.config.model_type)
            install(inner, attention)
        self.attention = attention
        self.by_document = attention.device_type == "cpu"  # not where blocks are compiled
        inner.get_input_embeddings().register_forward_hook(in_autocast_type)
        self.head_is_last = head_is_last(inner, attention)

    def inputs(self, rows: Rows, device: torch.device | str = "cpu") -> Inputs:
        """Rows on the device, with what keeps their documents apart."""
        kept = {name: to_device(rows[name], device) for name in ("input_ids", "labels", "corpus") if name in rows}
        tokens = {"input_ids": kept.pop("input_ids"), "use_cache": False}
        boundaries = document_inputs(rows["position_ids"], self.attention, device=device, by_document=self.by_document)
        return {**kept, "forward": {**tokens, **boundaries}}

    def forward(self, batch: Inputs, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(scalar to minimise, losses (B, T) [nat], 0 where the label is ignored).

        scale: weight of each token, () or (B, T); None = 1 over the number of labels.
        """
        labels = batch["labels"].flatten()
        weight = 1.0 / (labels >= 0).sum() if scale is None else scale
        scales = weight.expand(batch["labels"].shape).flatten()
        inner = self.inner[0]
        if self.head_is_last:
            hidden = cast(nn.Module, inner.base_model)(**batch["forward"]).last_hidden_state
            head = cast(nn.Module, inner.get_output_embeddings())
            total, losses = self.objective.loss(hidden.flatten(0, 1), head, labels, scales)
        else:
            logits = self.logits(batch).flatten(0, 1)
            total, losses = self.objective.loss(logits, nn.Identity(), labels, scales)
        return total, losses.view_as(batch["labels"])

    def logits(self, batch: Inputs) -> Tensor:
        """(B, T, V), whole."""
        return self.inner[0](**batch["forward"]).logits


def in_autocast_type(module: nn.Module, inputs: Any, embedded: Tensor) -> Tensor:
    """Under autocast the residual stream is bf16 too, as it is under FSDP: half the traffic of norms and sums."""
    kind = embedded.device.type
    return embedded.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else embedded


def head_is_last(model: PreTrainedModel, attention: Choice) -> bool:
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
    if next(model.parameters()).device.type != attention.device_type:
        return True  # its weights are not there yet: the names above decide alone
    ids = torch.tensor([[1, 2, 3]], device=model.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        inputs = {
            "input_ids": ids,
            "use_cache": False,
            **document_inputs(torch.arange(3)[None], attention, device=ids.device),
        }
        hidden = body(**inputs).last_hidden_state
        same = torch.allclose(head(hidden), model(**inputs).logits, atol=1e-4)
    model.train(was_training)
    return same
