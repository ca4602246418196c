"""The whole training system on one screen, typed; `register()` hands it to Hydra."""

from dataclasses import dataclass, field

from omegaconf import MISSING

from cptlab.adapters.base import Adapter
from cptlab.data.sources.base import DataSource
from cptlab.errors import UserError, closest
from cptlab.mixtures.base import Mixture
from cptlab.models.base import Model
from cptlab.optimizers.base import Optimizer
from cptlab.regularizers.base import Regularizer
from cptlab.replay.base import Replay
from cptlab.schedules.base import Schedule
from cptlab.selection.base import Selection
from cptlab.sparsity.base import Sparsity
from cptlab.training.diagnostics.settings import Diagnostics
from cptlab.training.machine import Machine
from cptlab.training.objective import Objective
from cptlab.training.parallel.fp8 import check_pass
from cptlab.training.tracking import Tracking
from cptlab.variants import HOMES, discover_group
from cptlab.vocabulary.base import Vocab

EVALUATION_ROWS = 64  # of one pass, where nothing says that memory is short


@dataclass
class Evaluation:
    """When and on how much text losses are measured; the rows are the same in every run.

    Points lie at tokens_total * spacing^-k, so that a short and a long run share their clock.
    """

    rows: int = 256  # rows of each corpus and split (fewer if the split is shorter)
    points: int = 9  # evaluations along the run beside the one before the first update
    spacing: float = 1.4142135623730951  # ratio of the tokens of two neighbouring points, above 1
    batch_rows: int = 0  # rows of one forward pass of a process; 0 = 64, or fewer: machine.micro_rows where that is set

    def __post_init__(self) -> None:
        if self.rows < 1 or self.points < 1:
            raise UserError(f"evaluation: rows={self.rows}, points={self.points} must be 1 or more")
        if self.batch_rows < 0:
            raise UserError(f"evaluation.batch_rows is {self.batch_rows}; it must be 1 or more, or 0 for the default")
        if self.spacing <= 1:
            raise UserError(f"evaluation.spacing is {self.spacing}; it must be above 1")


KINDS = ("auto", "full", "sharded")


@dataclass
class Checkpoints:
    """When a run saves what it needs to go on, beside when it is asked to stop; nothing of it changes a number."""

    every_minutes: float = 30.0  # between two checkpoints; 0 = only at a signal. Shorter runs write none
    every_steps: int = 0  # also after every so many optimizer steps; 0 = by the clock alone
    keep: int = 2  # the last ones stay
    kind: str = "auto"  # full (one file), sharded (each process its part), auto = sharded where the weights are
    allow_other_resolution: bool = False  # go on though attention or precision are not what they were
    keep_finished: bool = False  # leave the last checkpoints of a finished run beside its weights

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"checkpoint.kind is {self.kind}.{closest(self.kind, KINDS)}")
        if self.every_minutes < 0 or self.every_steps < 0:
            raise UserError(
                f"checkpoint: every_minutes={self.every_minutes:g}, every_steps={self.every_steps} must be 0 or more"
            )
        if self.keep < 1:
            raise UserError(f"checkpoint.keep is {self.keep}; it must be 1 or more")


@dataclass
class Branch:
    """The run that this one leaves, where the LR and the batches were the same up to there (docs/schedules.md)."""

    run: str = ""  # run folder of the trunk, which kept checkpoints; "" = from the base
    step: int = 0  # optimizer steps of the checkpoint to leave from; 0 = the newest

    def __post_init__(self) -> None:
        if self.step < 0 or (self.step and not self.run):
            raise UserError(f"branch.step is {self.step}; it must be a step of branch.run, the trunk's folder, or 0")


OPTIMIZERS, BUFFERS = ("reset", "keep"), ("stream", "stage")


@dataclass
class Stage:
    """What a stage of a stream takes from the one before, beside its weights (docs/streams.md)."""

    follows: bool = False  # the base is the stage before: every corpus goes on where that stopped reading
    optimizer: str = "reset"  # reset (as a new run), keep (its moments and their count of steps)
    buffer: str = "stream"  # replay from a buffer draws from rows of all stages so far, or of this stage alone

    def __post_init__(self) -> None:
        for key, known in (("optimizer", OPTIMIZERS), ("buffer", BUFFERS)):
            if getattr(self, key) not in known:
                raise UserError(f"stage.{key} is {getattr(self, key)}.{closest(getattr(self, key), known)}")

    def check(self, config: "TrainConfig") -> None:
        """UserError for what a stage that follows another cannot do."""
        keeps = self.optimizer == "keep"
        if keeps and not (self.follows or config.stream):
            raise UserError("stage.optimizer=keep needs a stage before; train a stream, or set stage.follows=true")
        if keeps and config.adapter.identity():
            raise UserError(
                f"stage.optimizer=keep: adapter={config.adapter.variant_name} begins anew in every stage, so there are"  # type: ignore[attr-defined]
                " no moments for it; use stage.optimizer=reset"
            )
        if keeps and config.optimizer.averages:
            raise UserError(
                f"stage.optimizer=keep: a stage begins with the averages that optimizer={config.optimizer.variant_name}"  # type: ignore[attr-defined]
                " left, not with the weights that its state belongs to; use stage.optimizer=reset"
            )
        if self.follows and config.vocab.identity():
            raise UserError(
                f"stage.follows: vocab={config.vocab.variant_name} would change the tokenizer within a stream; adapt it"  # type: ignore[attr-defined]
                " before the first stage, with vocab=none from then on"
            )
        if self.follows and config.branch.run:
            raise UserError("stage.follows starts at the end of a run, branch.run within one; give one of them")


@dataclass
class TrainConfig:
    """One run: what is trained on which text, how, for how long, where it is recorded."""

    model: Model = MISSING
    vocab: Vocab = MISSING
    data: DataSource = MISSING
    selection: Selection = MISSING
    mixture: Mixture = MISSING
    replay: Replay = MISSING
    lr_schedule: Schedule = MISSING
    objective: Objective = MISSING
    optimizer: Optimizer = MISSING
    adapter: Adapter = MISSING
    regularizer: Regularizer = MISSING
    sparsity: Sparsity = MISSING
    machine: Machine = MISSING
    tracking: Tracking = MISSING
    evaluation: Evaluation = field(default_factory=Evaluation)
    checkpoint: Checkpoints = field(default_factory=Checkpoints)
    branch: Branch = field(default_factory=Branch)
    stage: Stage = field(default_factory=Stage)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    stream: list[str] = field(default_factory=list)  # corpora, one stage of `tokens` each after the other; [] = one run
    tokens: float = 655_360  # CPT tokens of the run, all corpora together
    rows_per_step: int = 32  # rows of data.sequence_length tokens in one optimizer step
    seed: int = 0  # of data order and random weights
    runs: str = "runs"  # folder of the run records
    save_model: bool = True  # keep the final weights and tokenizer in runs/<run_id>/model

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.rows_per_step < 1:
            raise UserError(f"tokens and rows_per_step must be 1 or more ({self.tokens}, {self.rows_per_step})")
        if self.tokens < self.tokens_per_step:
            raise UserError(
                f"tokens is {self.tokens:g}, less than one step of rows_per_step x data.sequence_length ="
                f" {self.tokens_per_step}"
            )
        if self.seed < 0:
            raise UserError(f"seed is {self.seed}; it must be 0 or more")
        self.lr_schedule.check(self.tokens_total)
        self.lr_schedule.check_step(self.tokens_per_step, self.tokens_total)
        self.replay.check(self.data.general)
        self.replay.check_optimizer(self.optimizer)
        self.regularizer.check(self.replay, self.mixture)
        self.optimizer.check(self.machine)
        self.optimizer.check_schedule(self.lr_schedule)
        self.adapter.check(self.machine)
        check_pass(self.machine, self.rows_per_step, self.data.sequence_length)
        self.diagnostics.check(self.adapter)
        self.stage.check(self)
        self.sparsity.check(self)

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimizer step."""
        return self.rows_per_step * self.data.sequence_length

    @property
    def evaluation_rows(self) -> int:
        """Rows of one forward pass of a process in an evaluation."""
        return self.evaluation.batch_rows or min(EVALUATION_ROWS, self.machine.micro_rows or EVALUATION_ROWS)

    @property
    def steps(self) -> int:
        """Optimizer steps, the last incomplete one left out."""
        return int(self.tokens // self.tokens_per_step)

    @property
    def tokens_total(self) -> int:
        """Tokens really trained on: whole steps."""
        return self.steps * self.tokens_per_step


FIT_GROUPS = ("law", "source", "question")


def register(config_name: str = "train") -> None:
    """Fill Hydra's ConfigStore: `schema/<config_name>` and the `schema/<group>/<variant>` that it needs.

    Only these: train.py starts without the laws, fit_law.py without models and data.
    """
    from hydra.core.config_store import ConfigStore

    root = TrainConfig
    if config_name == "fit_law":
        from cptlab.fit_config import FitConfig

        root = FitConfig
    store = ConfigStore.instance()
    store.store(group="schema", name=config_name, node=root)
    for group in HOMES:
        if (group in FIT_GROUPS) == (config_name == "fit_law"):
            for name, cls in discover_group(group).items():
                store.store(group=f"schema/{group}", name=name, node=cls)
