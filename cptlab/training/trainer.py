"""Every optimizer step of a run, under Lightning."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cptlab.data.stream import TokenStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.config import TrainConfig
    from cptlab.training.attention import Choice
    from cptlab.training.checkpoint.callback import Checkpointing
    from cptlab.training.recorder import Recorder
    from cptlab.training.throughput import Throughput

# One process that makes its own batches needs no workers, and rows are read by step: Lightning would warn about both,
# and about a run outside SLURM's jobs on a machine that has SLURM.
EXPECTED = (
    ".*does not have many workers.*",
    ".*`IterableDataset` has `__len__` defined.*",
    ".*isinstance.treespec, LeafSpec.*",
    "The `srun` command is available.*",
)


def fit_steps(
    config: TrainConfig, model: PreTrainedModel, attention: Choice, stream: TokenStream, recorder: Recorder,
    checkpointing: Checkpointing,
) -> dict:  # fmt: skip
    """Train on from the checkpoint, the recorder and what learns looking on. Returns the throughput for the record."""
    import lightning as L

    from cptlab.training.continual import continual
    from cptlab.training.loader import StepData
    from cptlab.training.module import CPTModule
    from cptlab.training.network import Network
    from cptlab.training.parallel.arrange import arrange
    from cptlab.training.parallel.strategy import lightning_precision, plugins_of, strategy_of
    from cptlab.training.sparse import sparse
    from cptlab.training.steering import steering
    from cptlab.training.throughput import reset_peaks

    reset_peaks(config.machine.accelerator == "gpu")
    machine, first_step = config.machine, checkpointing.resume.step
    weights = config.model.folder() if next(model.parameters()).is_meta else None
    module = CPTModule(
        Network(model, config.objective, attention), config.optimizer, config.lr_schedule, stream.tokens_per_step,
        config.tokens_total, machine.micro_rows, lambda network, trainer: arrange(network, machine, trainer, weights),
    )  # fmt: skip
    module.weigh(config.objective.token_weights(stream.names))
    module.network.by_document &= machine.compile == "none"
    against_forgetting = continual(config, module, stream, recorder.folder.path)
    module.meter = recorder.progress.meter = meter_of(config, model)
    with warnings.catch_warnings():
        for message in EXPECTED:
            warnings.filterwarnings("ignore", message)
        trainer = L.Trainer(
            accelerator=machine.accelerator, devices=machine.devices, num_nodes=machine.nodes,
            strategy=strategy_of(machine), max_steps=stream.steps - first_step, max_epochs=-1,
            precision=lightning_precision(machine), plugins=plugins_of(machine),  # type: ignore[arg-type]
            callbacks=[*against_forgetting, *sparse(config, stream.steps), checkpointing.first, recorder,
                       *steering(config, stream, recorder), checkpointing], logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )  # fmt: skip
        trainer.fit(module, datamodule=StepData(stream, machine.workers, first_step))
    for optimizer in trainer.optimizers:
        if hasattr(optimizer, "eval"):  # schedule-free: the weights that are kept are the averaged ones
            optimizer.eval()  # type: ignore[attr-defined]
    return module.meter.summary("cuda" if machine.accelerator == "gpu" else "cpu")


def meter_of(config: TrainConfig, model: PreTrainedModel) -> Throughput:
    """Counts tokens, waits and memory of the run that starts."""
    import torch

    from cptlab.training.flops import shape_of
    from cptlab.training.peaks import peak
    from cptlab.training.throughput import Throughput

    machine = config.machine
    on_gpu = machine.accelerator == "gpu"
    return Throughput(
        config.data.sequence_length, shape_of(model),
        peak("cuda" if on_gpu else "cpu", machine.resolved_precision, machine.peak_tflops),
        machine.world_size, synchronize=torch.cuda.synchronize if on_gpu else None,
    )  # fmt: skip
