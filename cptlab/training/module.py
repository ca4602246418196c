"""The LightningModule: one network, one optimizer, one schedule; a training batch is one optimizer step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import lightning as L
import torch
from torch import Tensor

from cptlab.schedules.base import Schedule
from cptlab.training.network import Inputs, Network
from cptlab.training.optimizer import Optimizer


class NotFiniteError(RuntimeError):
    """The training loss is NaN or infinite at a step."""


class CPTModule(L.LightningModule):
    """Trains a causal LM on packed batches {input_ids, labels, position_ids}, each (B, T).

    micro_rows: rows of one forward and backward pass; 0 = all rows of this rank. The gradient is that of the mean
    over all labels of the global batch, however it is cut into ranks and passes.
    """

    def __init__(
        self, network: Network, optimizer: Optimizer, schedule: Schedule, tokens_per_step: int, tokens_total: int,
        micro_rows: int = 0, arrange: Callable[[Network, L.Trainer], None] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.optimizer = optimizer
        self.schedule = schedule
        self.tokens_per_step = tokens_per_step
        self.tokens_total = tokens_total
        self.micro_rows = micro_rows
        self.arrange = arrange  # shards and compiles the network once the processes know each other
        self.step = 0  # optimizer steps of the whole run, earlier attempts included
        self.last_loss = float("nan")  # [nat/token]; of the step before on a GPU, which is never waited for
        self._pending: Tensor | None = None
        self.gradient_norm: Tensor | None = None

    def configure_model(self) -> None:
        """Once: Lightning asks again for every loop."""
        if self.arrange is not None:
            self.arrange(self.network, self.trainer)
            self.arrange = None

    def forward(self, batch: Inputs, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(scalar to minimise, losses (B, T))."""
        return self.network(batch, scale)

    def training_step(self, batch: Inputs, batch_idx: int) -> None:
        """One optimizer step. A loss that is no number ends the run: on a CPU before the update."""
        optimizer = self.optimizers()
        count = (batch["labels"] >= 0).sum()
        if self.trainer.world_size > 1:
            count = self.trainer.strategy.reduce(count.float(), reduce_op="sum")
        scale = self.trainer.world_size / count  # ranks' gradients are averaged
        parts = list(self._parts(batch))
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(parts):
            with self._synced(number == len(parts) - 1):
                loss, _ = self(part, scale)
                self.manual_backward(loss)
            total += loss.detach()
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total, reduce_op="mean")
        if self.device.type == "cpu":
            self._check(total)
        self.set_learning_rate(optimizer)  # type: ignore[arg-type]
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]
        if self.device.type != "cpu" and self._pending is not None:
            self._check(self._pending)
        self._pending = total
        self.step += 1

    def _parts(self, batch: Inputs) -> Iterator[Inputs]:
        rows = len(batch["input_ids"])
        size = self.micro_rows or rows
        for start in range(0, rows, size):
            yield {name: value[start : start + size] for name, value in batch.items()}

    def _synced(self, last: bool):
        """Ranks exchange gradients in the last pass of a step alone."""
        from cptlab.training.parallel import gradient_sync

        return gradient_sync(self.trainer, self.network, last)

    def _check(self, loss: Tensor) -> None:
        self.last_loss = loss.item()
        if not torch.isfinite(loss):
            raise NotFiniteError(f"the training loss is {self.last_loss} at step {self.step + 1}")

    def set_learning_rate(self, optimizer: torch.optim.Optimizer) -> None:
        """Step i (1-based) uses the schedule's clock after its tokens."""
        factor = float(self.schedule.factor((self.step + 1.0) * self.tokens_per_step, self.tokens_total))  # type: ignore[arg-type]
        for group in optimizer.param_groups:
            group["lr"] = factor * group["initial_lr"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer; the schedule is a pure function of the step, so it has no state to keep."""
        optimizer = self.optimizer.build(self.network)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        return optimizer

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Global L2 norm at most `optimizer.clip`; callbacks have seen the gradients before."""
        if self.optimizer.clip:
            from cptlab.training.parallel import clip_gradients

            self.gradient_norm = clip_gradients(self.network.parameters(), self.optimizer.clip)
