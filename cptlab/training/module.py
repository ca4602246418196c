"""The LightningModule: one model, one objective, one optimizer, one schedule."""

from __future__ import annotations

import lightning as L
import torch
from torch import Tensor

from cptlab.optimizers.base import Optimizer
from cptlab.optimizers.clipping import clip_gradients
from cptlab.schedules.base import Schedule
from cptlab.training.attention import document_mask
from cptlab.training.objective import Objective


class NotFiniteError(RuntimeError):
    """The training loss is NaN or infinite at a step."""


class CPTModule(L.LightningModule):
    """Trains a causal LM on packed batches {input_ids, labels, position_ids}, each (B, T)."""

    def __init__(
        self,
        model: torch.nn.Module,
        objective: Objective,
        optimizer: Optimizer,
        schedule: Schedule,
        tokens_per_step: int,
        tokens_total: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.optimizer = optimizer
        self.schedule = schedule
        self.tokens_per_step = tokens_per_step
        self.tokens_total = tokens_total
        self.last_loss = float("nan")

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, V)."""
        return self.model(
            input_ids=batch["input_ids"],
            position_ids=batch["position_ids"],
            attention_mask=document_mask(batch["position_ids"]),
            use_cache=False,
        ).logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch; a loss that is no number ends the run before the update."""
        loss = self.objective.loss(self(batch), batch["labels"])
        self.last_loss = loss.item()
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the training loss is {self.last_loss} at step {self.global_step + 1}")
        return loss

    def configure_optimizers(self) -> dict:
        """Step i (1-based) uses the schedule's clock after its tokens."""
        optimizer = self.optimizer.build(self.model)

        def factor(step: int) -> float:
            return float(self.schedule.factor((step + 1.0) * self.tokens_per_step, self.tokens_total))  # type: ignore[arg-type]

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Global L2 norm at most `optimizer.clip`."""
        if self.optimizer.clip:
            clip_gradients(self.model.parameters(), self.optimizer.clip)
