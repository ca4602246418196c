"""`optimizer=muon`: orthogonalised momentum for hidden matrices, AdamW for everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.optimizers.base import AdamFields, above_zero, one_of, share_below_one
from cptlab.optimizers.groups import decay_groups, filled, kinds, split_hidden
from cptlab.variants import variant

if TYPE_CHECKING:
    import torch

LR_ADJUSTS = ("match_rms_adamw", "original")


@variant("optimizer")
@dataclass(kw_only=True)
class Muon(AdamFields):
    """Muon (Jordan 2024) by `torch.optim.Muon` on 2-D matrices; embeddings, head, norms and biases take AdamW.

    lr_adjust=match_rms_adamw (Liu et al. 2025, arXiv 2502.16982) scales an (A, B) matrix by 0.2 sqrt(max(A, B)), so
    that a peak LR and decay found for AdamW can be kept; `original` scales by sqrt(max(1, A/B)).
    """

    momentum: float = 0.95  # of the matrices' gradients, in [0, 1)
    nesterov: bool = True  # look one step of momentum ahead
    ns_steps: int = 5  # Newton-Schulz iterations, 1 to 99
    lr_adjust: str = "match_rms_adamw"  # match_rms_adamw or original
    adamw_lr_scale: float = 1.0  # LR of the AdamW part over that of the matrices, above 0

    state_bytes = 4.0  # of hidden matrices

    def __post_init__(self) -> None:
        super().__post_init__()
        share_below_one("momentum", self.momentum)
        one_of("lr_adjust", self.lr_adjust, LR_ADJUSTS)
        above_zero("adamw_lr_scale", self.adamw_lr_scale)
        if not 1 <= self.ns_steps < 100:
            raise UserError(f"optimizer.ns_steps is {self.ns_steps}; it must lie between 1 and 99")

    def all_state_bytes(self, hidden: int, ends: int) -> float:
        """One momentum for matrices, two moments for the rest; norms and biases are too few to count."""
        return self.state_bytes * hidden + AdamFields.state_bytes * ends

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """Muon's group first, then AdamW's."""
        import torch

        from cptlab.optimizers.updates.pair import Pair

        hidden, rest = split_hidden(kinds(model))
        decay = 0.0 if "matrices" in self.no_decay else self.weight_decay
        muon = filled([{"params": hidden, "weight_decay": decay}])
        adamw = [g | {"lr_scale": self.adamw_lr_scale} for g in decay_groups(rest, self.weight_decay, self.no_decay)]
        parts: list[torch.optim.Optimizer] = []
        if muon:
            parts.append(
                torch.optim.Muon(
                    muon, lr=self.peak_lr, momentum=self.momentum, nesterov=self.nesterov, ns_steps=self.ns_steps,
                    adjust_lr_fn=self.lr_adjust,
                )
            )  # fmt: skip
        if adamw:
            lr, betas = self.peak_lr * self.adamw_lr_scale, (self.beta1, self.beta2)
            parts.append(torch.optim.AdamW(adamw, lr=lr, betas=betas, eps=self.eps, fused=True))
        return Pair(parts)
