"""Sparsity in training: which part of the weights is zero at which time, and what N a law then means.

A weight that is masked is exactly zero in every forward pass. Only matrices of the blocks are masked; norms, biases,
embeddings and the head stay dense. The N of a run whose size changes is its mean over the optimizer steps (Jin et al.
2025, The Journey Matters, arXiv 2501.12486): `num_params_mean`, read by `law=average_params`. No torch here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError

Array = NDArray[np.float64]


@dataclass(kw_only=True)
class Sparsity(ABC):
    """Masked share of each matrix, as a pure function of progress."""

    @abstractmethod
    def masked(self, u: Array) -> Array:
        """Share of a matrix's weights that are masked at progress u: (n,) -> (n,), in [0, 1)."""

    def identity(self) -> dict:
        """Name and fields; {} where nothing is masked, so that run_ids from before there was any stay."""
        return {"variant": self.variant_name} | {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[attr-defined]

    def in_force(self, steps: int) -> Array:
        """Masked share in the forward pass of each optimizer step, and after the last one: (steps + 1,)."""
        return self.masked(np.arange(steps + 1) / steps)

    def num_masked(self, size: int, share: float) -> int:
        """How many of the `size` weights of a matrix are masked."""
        return int(np.floor(size * share + 1e-9))

    def mean_params(self, num_params: int, sizes: Sequence[int], steps: int) -> Array:
        """Active parameters averaged over the steps up to each: (steps + 1,), those of the first step at 0.

        num_params: all that count as N; sizes: of the matrices among them that are masked.
        """
        shares = self.in_force(steps)
        active = np.array([num_params - sum(self.num_masked(size, s) for size in sizes) for s in shares[:-1]], float)
        mean = np.cumsum(active) / np.arange(1, steps + 1)
        return np.concatenate([active[:1], mean])

    def check(self, config: Any) -> None:
        """UserError for what sparse training cannot go with."""
        if not self.identity():
            return
        name = f"sparsity={self.variant_name}"  # type: ignore[attr-defined]
        if config.adapter.identity():
            raise UserError(
                f"{name} masks the trained weights, and adapter={config.adapter.variant_name} freezes them; use"
                " adapter=none"
            )
        if config.machine.strategy in ("fsdp", "hsdp") or config.machine.tensor_parallel > 1:
            raise UserError(
                f"{name} ranks the weights of a whole matrix, which machine.strategy={config.machine.strategy} splits;"
                " use machine.strategy=ddp or single"
            )
        if config.optimizer.averages:
            raise UserError(
                f"{name}: optimizer={config.optimizer.variant_name} keeps averages of its own, which would bring masked"
                " weights back; use optimizer=adamw"
            )
        if config.branch.run:
            raise UserError(f"branch.run: the masks of {name} depend on the length of the run; train it from its base")
        if len(config.stream) > 1 or config.stage.follows:
            raise UserError(f"{name} would begin anew in every stage of a stream, so no mask would last; leave one out")


def check_share(key: str, value: float, *, above: float = 0.0, below: float = 1.0) -> None:
    """UserError unless above <= value <= below."""
    if not above <= value <= below:
        raise UserError(f"sparsity.{key} is {value}; it must lie in [{above:g}, {below:g}]")


def check_target(value: float) -> None:
    """UserError unless a share of masked weights lies in [0, 1)."""
    if not 0 <= value < 1:
        raise UserError(f"sparsity.sparsity is {value}; it must lie in [0, 1)")
