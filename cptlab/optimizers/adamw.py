"""`optimizer=adamw`: torch's own, fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.optimizers.base import AdamFields
from cptlab.optimizers.groups import decay_groups, kinds
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch


@variant("optimizer", "adamw")
@dataclass(kw_only=True)
class AdamW(AdamFields):
    """AdamW (Loshchilov & Hutter 2019), fused; no weight decay on norms, biases and embeddings (input and output)."""

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Two groups: with decay and without."""
        import torch

        groups = decay_groups(kinds(model), self.weight_decay, self.no_decay)
        betas = (self.beta1, self.beta2)
        return torch.optim.AdamW(groups, lr=self.peak_lr, betas=betas, eps=self.eps, fused=True)
