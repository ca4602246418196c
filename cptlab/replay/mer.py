"""`replay=mer`: replay, and every `every` steps the weights go back to a point between where they were and are.

Meta-experience replay (Riemer et al. 2019, arXiv 1810.11910) as Abbes et al. 2025 (arXiv 2508.01908) use it in
continual pre-training: with the weights theta_a that the last such step left (Reptile, Nichol et al. 2018, arXiv
1803.02999),

    theta <- theta_a + rate (theta - theta_a),   theta_a <- theta.

Over the orders of two SGD steps on batches with gradients g1 and g2 the mean move is -lr (g1 + g2) + lr^2 / 2 *
grad(g1 . g2) + O(lr^3): it seeks gradients that agree. `rate` = 1 is replay alone, bit by bit; 0 never moves on.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from cptlab.errors import UserError
from cptlab.replay.sourced import SourcedReplay
from cptlab.variants import variant


@variant("replay", "mer")
@dataclass(kw_only=True)
class MER(SourcedReplay):
    """Costs one more copy of the trained weights and, every `every` steps, one pass over them.

    The optimizer's moments stay as they are. Steps after the last multiple of `every` are not drawn back.
    """

    every: int = 500  # optimizer steps between two Reptile steps, 1 or more
    rate: float = 0.1  # epsilon, in [0, 1]
    offload: bool = False  # the copy waits in CPU memory; changes no number

    kept: ClassVar[tuple[str, ...]] = ("reptile",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.every < 1:
            raise UserError(f"replay.every is {self.every} steps; it must be 1 or more")
        if not 0 <= self.rate <= 1:
            raise UserError(f"replay.rate is {self.rate}; it must lie in [0, 1]")

    def check_run(self, steps: int, rows_per_step: int) -> None:
        """UserError without a Reptile step: it would be plain replay."""
        if self.every > steps:
            raise UserError(
                f"replay.every is {self.every} steps but the run has {steps}, so no Reptile step would be taken; give"
                f" {max(1, steps // 8)} or so, or replay=fixed"
            )

    def check_optimizer(self, optimizer: Any) -> None:
        """The weights that training moves are those of the model."""
        if optimizer.averages:
            raise UserError(
                f"replay=mer moves the weights and optimizer={optimizer.variant_name} keeps others of its own, which"
                " would pull them back; use optimizer=adamw"
            )
