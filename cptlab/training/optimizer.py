"""Optimizers; each holds its peak LR, the schedule only scales it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch


@dataclass(kw_only=True)
class Optimizer(ABC):
    """`peak_lr` is the learning rate at factor 1; `clip` bounds the gradient's L2 norm (0 = no clipping)."""

    peak_lr: float = 1e-3
    clip: float = 1.0

    def __post_init__(self) -> None:
        if not self.peak_lr > 0:
            raise UserError(f"optimizer.peak_lr is {self.peak_lr}; it must be above 0")
        if self.clip < 0:
            raise UserError(f"optimizer.clip is {self.clip}; it must be 0 (no clipping) or more")

    @abstractmethod
    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """The torch optimizer over the model's trainable parameters."""


@variant("optimizer", "adamw")
@dataclass(kw_only=True)
class AdamW(Optimizer):
    """AdamW (Loshchilov & Hutter 2019), fused; no weight decay on norms, biases and embeddings (input and output)."""

    beta1: float = 0.9  # decay of the first moment, in [0, 1)
    beta2: float = 0.95  # decay of the second moment, in [0, 1)
    eps: float = 1e-8  # added to the root of the second moment
    weight_decay: float = 0.1  # decoupled, on matrices only, per unit of LR

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}; it must lie in [0, 1)")
        if not self.eps > 0:
            raise UserError(f"optimizer.eps is {self.eps}; it must be above 0")
        if self.weight_decay < 0:
            raise UserError(f"optimizer.weight_decay is {self.weight_decay}; it must be 0 or more")

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Two groups: matrices with decay, the rest without."""
        import torch

        embeddings = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
        head = getattr(model, "get_output_embeddings", lambda: None)()
        embeddings |= {id(head.weight)} if head is not None else set()
        decayed, plain = [], []
        for parameter in model.parameters():
            if parameter.requires_grad:
                keep = parameter.ndim >= 2 and id(parameter) not in embeddings
                (decayed if keep else plain).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(groups, lr=self.peak_lr, betas=betas, eps=self.eps, fused=True)
