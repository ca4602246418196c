"""The LightningModule: one network, one optimizer, one schedule; a training batch is one optimizer step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import lightning as L
import torch
from torch import Tensor

from cptlab.optimizers.base import Optimizer
from cptlab.optimizers.clipping import clip_gradients
from cptlab.optimizers.groups import set_lr
from cptlab.schedules.base import Schedule
from cptlab.training.corpus_losses import CorpusLosses
from cptlab.training.network import Inputs, Network, Rows
from cptlab.training.throughput import Throughput

if TYPE_CHECKING:
    from cptlab.training.projection import Projection
    from cptlab.training.teacher import Teacher


class Arriving:
    """A number on its way from a GPU. `.item()` would wait for all that was enqueued since, this for it alone."""

    def __init__(self, number: Tensor) -> None:
        self.host = torch.empty((), dtype=number.dtype, pin_memory=True)
        self.host.copy_(number, non_blocking=True)
        self.event = torch.cuda.Event()
        self.event.record()

    def value(self) -> float:
        """The number, once it is here."""
        self.event.synchronize()
        return self.host.item()


class NotFiniteError(RuntimeError):
    """The training loss is NaN or infinite at a step."""


class CPTModule(L.LightningModule):
    """Trains a causal LM on packed rows {input_ids, labels, position_ids}, each (B, T), corpus (B,).

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
        self._pending: Arriving | None = None
        self.gradient_norm: Tensor | None = None
        self.meter: Throughput | None = None
        self.corpus_losses: CorpusLosses | None = None
        self.token_weights: Tensor | None = None  # of each corpus, fp32; None = 1
        self.projection: Projection | None = None  # of the gradients of groups of rows (`continual.py`)
        self.teacher: Teacher | None = None  # the base's answers (`continual.py`)

    def configure_model(self) -> None:
        """Once: Lightning asks again for every loop."""
        if self.arrange is not None:
            self.arrange(self.network, self.trainer)
            self.arrange = None

    def forward(self, batch: Inputs, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(scalar to minimise, losses (B, T))."""
        return self.network(batch, scale)

    def training_step(self, batch: list[Inputs], batch_idx: int) -> None:
        """One optimizer step. A loss that is no number ends the run: on a CPU before the update."""
        optimizer = self.optimizers()
        if self.teacher:
            self.teacher.ask(self, batch)
        total = self.projection.backward(self, batch) if self.projection else self.backward_passes(batch)
        if self.trainer.world_size > 1:
            total = self.trainer.strategy.reduce(total, reduce_op="mean")
        if self.device.type == "cpu":
            self._check(total.item())
        self.set_learning_rate(optimizer)  # type: ignore[arg-type]
        optimizer.step()  # type: ignore[union-attr]
        optimizer.zero_grad()  # type: ignore[union-attr]
        if self.device.type != "cpu":
            self.check_pending()
            self._pending = Arriving(total)
        self.step += 1
        if self.meter:
            self.meter.step_done(self.tokens_per_step)

    def backward_passes(self, batch: list[Inputs]) -> Tensor:
        """Gradients of the weighted mean over all labels of these passes on all ranks, added to those that are there.

        Returns this rank's share of the mean, times the number of ranks: ().
        """
        count = torch.stack([self._weighted(part, part["labels"] >= 0).sum() for part in batch]).sum()
        if self.trainer.world_size > 1:
            count = self.trainer.strategy.reduce(count.float(), reduce_op="sum")
        scale = self.trainer.world_size / count  # ranks' gradients are averaged
        total = torch.zeros((), device=self.device)
        for number, part in enumerate(batch):
            if self.teacher:
                self.teacher.tell(self, part)
            with self._synced(number == len(batch) - 1):
                loss, losses = self(part, self._weighted(part, scale))
                self.manual_backward(loss)
            if self.corpus_losses:
                self.corpus_losses.add(losses, part["labels"], part["corpus"])
            total += loss.detach()
        return total

    def weigh(self, weights: list[float] | None) -> None:
        """A token counts as much as `weights` say of its corpus, in the order of Batch.corpus; None = 1."""
        self.token_weights = None if weights is None else torch.tensor(weights)

    def _weighted(self, part: Inputs, values: Tensor) -> Tensor:
        """Times the weights of the tokens of a pass, (B, 1)."""
        if self.token_weights is None:
            return values
        self.token_weights = self.token_weights.to(self.device)
        return values * self.token_weights[part["corpus"], None]

    def on_train_batch_start(self, batch: list[Inputs], batch_idx: int) -> None:
        """The batch is there."""
        if self.meter:
            self.meter.batch_ready()

    def on_train_batch_end(self, outputs: object, batch: list[Inputs], batch_idx: int) -> None:
        """Callbacks are through; the loop asks for the next batch."""
        if self.meter:
            self.meter.batch_requested()

    def passes(self, batch: Rows, device: torch.device) -> list[Inputs]:
        """The passes of a step: rows are cut on the CPU, where boundaries of documents cost no wait for the device."""
        if self.projection:
            groups = self.projection.groups(batch, self)
            return [part | {"group": group} for group, rows in groups.items() for part in self._cut(rows, device)]
        return self._cut(batch, device)

    def _cut(self, batch: Rows, device: torch.device) -> list[Inputs]:
        rows = len(batch["input_ids"])
        size = self.micro_rows or rows
        cuts = [slice(start, start + size) for start in range(0, rows, size)]
        parts = [{name: value[cut] for name, value in batch.items()} for cut in cuts]
        extra = [self.teacher.inputs(self, part, device) if self.teacher else {} for part in parts]
        return [self.network.inputs(part, device) | more for part, more in zip(parts, extra, strict=True)]

    def _synced(self, last: bool):
        """Ranks exchange gradients in the last pass of a step alone."""
        from cptlab.training.parallel import gradient_sync

        return gradient_sync(self.trainer, self.network, last)

    def _check(self, loss: float) -> None:
        self.last_loss = loss
        if not math.isfinite(loss):
            raise NotFiniteError(f"the training loss is {self.last_loss} at step {self.step + 1}")

    def check_pending(self) -> None:
        """NotFiniteError if the loss of the step before, which a GPU was not waited for, is no number."""
        if self._pending is not None:
            self._check(self._pending.value())

    def set_learning_rate(self, optimizer: torch.optim.Optimizer) -> None:
        """Step i (1-based) uses the schedule's clock after its tokens."""
        factor = float(self.schedule.factor((self.step + 1.0) * self.tokens_per_step, self.tokens_total))  # type: ignore[arg-type]
        set_lr(optimizer, self.optimizer.peak_lr * factor)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer; the schedule is a pure function of the step, so it has no state to keep."""
        return self.optimizer.build(self.network)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Within, the network is in evaluation mode, with the weights that the optimizer means, off the meter."""
        switches = [self.network, *(o for o in self._optimizers() if hasattr(o, "eval"))]
        was_training = self.network.training
        if self.meter:
            self.meter.pause()
        for each in switches:
            each.eval()  # type: ignore[union-attr]
        try:
            yield
        finally:
            for each in switches if was_training else ():
                each.train()  # type: ignore[union-attr]
            if self.meter:
                self.meter.resume()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        return list(self._trainer.optimizers) if self._trainer else []

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Global L2 norm at most `optimizer.clip`; callbacks have seen the gradients before."""
        if self.optimizer.clip:
            self.gradient_norm = clip_gradients(self.network.parameters(), self.optimizer.clip)
