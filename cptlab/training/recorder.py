"""The Lightning callback that evaluates, records, tracks and shows progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import lightning as L

from cptlab.data.corpus import Corpora
from cptlab.data.packing import Batch
from cptlab.data.stream import TokenStream, evaluation_batch
from cptlab.records.run import EvalRow, RunFolder
from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.training.corpus_losses import CorpusLosses
from cptlab.training.evaluate import evaluation_steps, measure
from cptlab.training.module import CPTModule, NotFiniteError
from cptlab.training.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cptlab.config import TrainConfig
    from cptlab.training.diagnostics.probe import Probe


ENDS_ONLY = ("valid", "test")


class Recorder(L.Callback):
    """Evaluates every corpus before the first update and at exponentially spaced steps.

    Split `fit` feeds the laws and is measured at every point; `valid` (to choose, for instance, a base's LR)
    and `test` (to judge recommendations) before the first update and at the end.
    """

    def __init__(
        self,
        config: TrainConfig,
        corpora: Corpora,
        stream: TokenStream,
        folder: RunFolder,
        progress: Progress,
        begin: Callable[[], None] = lambda: None,
    ):
        """begin: starts the record, once training has been set up."""
        self.begin = begin
        self.folder, self.stream, self.progress, self.tracking = folder, stream, progress, config.tracking
        self.batch_rows, self.token_bytes = config.evaluation_rows, corpora.token_bytes
        self.steps = set(evaluation_steps(stream.steps, config.evaluation.points, config.evaluation.spacing))
        self.batches = {
            (name, split): evaluation_batch(
                splits[split], config.evaluation.rows, stream.sequence_length, stream.eos_id
            )
            for name, splits in corpora.corpora.items()
            for split in ("fit", *ENDS_ONLY)
        }
        rates = learning_rates(
            config.lr_schedule, config.optimizer.peak_lr, stream.tokens_per_step, config.tokens_total
        )
        self.rates, self.lr_area, self.anneal_area = rates, lr_area(rates), anneal_area(rates)
        self.losses: dict[str, float] = {}  # domain -> last loss of split fit [nat/token]
        self.trained = CorpusLosses(stream.names)
        self.diagnostics: Probe | None = None  # what else is measured at each evaluation
        self.mean_params: NDArray | None = None  # of sparse training, by step
        self.started = time.monotonic()

    def on_fit_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """From here on the module keeps its losses by corpus."""
        self.trained.trainer, pl_module.corpus_losses = trainer, self.trained

    def on_train_start(self, trainer: L.Trainer, pl_module: CPTModule) -> None:
        """Before the first update: the base losses. A run that goes on has them."""
        self.begin()
        if pl_module.step == 0:
            self.record(pl_module, 0)
        else:
            self.progress.resumed(pl_module.step)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of the record: the rest is on the disk."""
        return {"losses": self.losses, "trained": self.trained.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The losses last measured, and those of training since."""
        self.losses = dict(state_dict["losses"])
        if "trained" in state_dict:  # not kept by older checkpoints
            self.trained.load_state_dict(state_dict["trained"])

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: CPTModule,
        outputs: object,
        batch: Mapping,
        batch_idx: int,
    ) -> None:
        """After each update."""
        step = pl_module.step
        self.progress.update(step, pl_module.last_loss, self.losses)
        if step in self.steps:
            self.record(pl_module, step)

    def record(self, module: CPTModule, step: int) -> None:
        """Measure, append to the record, tell the tracker."""
        rows, trained = [], self.trained.take()
        for (domain, split), batch in self.batches.items():
            if split in ENDS_ONLY and step not in (0, self.stream.steps):
                continue
            rows.append(self._row(module, step, domain, split, batch, trained[domain]))
        self.folder.append(rows)
        if self.diagnostics:
            self.diagnostics.record(module, step)
        self.losses = {row.domain: row.loss for row in rows if row.split == "fit"}
        self.tracking.log(rows)
        self.progress.evaluated(step, self.losses)

    def _row(
        self, module: CPTModule, step: int, domain: str, split: str, batch: Batch, trained: tuple[float, int]
    ) -> EvalRow:  # fmt: skip
        measured = measure(module, batch, self.token_bytes, self.batch_rows)
        if not measured.loss_sum < float("inf"):
            raise NotFiniteError(f"the loss of {domain} is {measured.loss_sum} at step {step}")
        if self.diagnostics:
            self.diagnostics.saw(domain, split, measured)
        now = max(step - 1, 0)
        areas = (float(self.lr_area[now]), float(self.anneal_area[now])) if step else (0.0, 0.0)
        return EvalRow(
            run_id=self.folder.path.name, attempt=self.folder.attempt, step=step,
            tokens_seen=self.stream.tokens_seen(step), tokens_by_corpus=self.stream.tokens_by_corpus(step),
            unique_tokens_by_corpus=self.stream.unique_tokens_by_corpus(step),
            replay_tokens=self.stream.replay_tokens(step), lr=float(self.rates[now]) if step else 0.0,
            lr_area=areas[0], anneal_area=areas[1], domain=domain, split=split, loss_sum=measured.loss_sum,
            num_tokens=measured.num_tokens, num_bytes=measured.num_bytes, loss_se=measured.loss_se,
            seconds=round(time.monotonic() - self.started, 3), epochs_by_corpus=self.stream.epochs_by_corpus(step),
            train_loss_sum=trained[0], train_num_tokens=trained[1],
            num_params_mean=0.0 if self.mean_params is None else float(self.mean_params[step]),
        )  # fmt: skip
