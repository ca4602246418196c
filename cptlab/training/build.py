"""The model of a run: built, given its attention, saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.records.run import RunFolder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.config import TrainConfig
    from cptlab.models.base import Model
    from cptlab.training.attention import Choice
    from cptlab.training.machine import Machine
    from cptlab.training.point import Point

NOISY = ("lightning.pytorch", "lightning.fabric", "torch.distributed.tensor._redistribute", "torch.utils._pytree",
         "torchao", "bitsandbytes")  # fmt: skip


def prepare_torch(config: TrainConfig) -> None:
    """Threads, determinism and seed."""
    import torch

    from cptlab.training.parallel.ranks import local_rank

    torch.set_num_threads(config.machine.threads)
    if config.machine.accelerator == "gpu" and torch.cuda.is_available():  # before kernels are tried on it
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    torch.use_deterministic_algorithms(config.machine.is_deterministic, warn_only=config.machine.accelerator != "cpu")
    # True would write every new tensor once more, to find bugs.
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    torch.manual_seed(config.seed)


def keep_hub_kernels_out() -> None:
    """bitsandbytes, while it is imported, asks the hub for a CPU kernel where the package `kernels` is installed.

    A run takes no network and no code that its environment does not hold, so it is imported as if that were absent.
    """
    import importlib
    import sys
    from importlib.util import find_spec

    if "bitsandbytes" in sys.modules or not (find_spec("kernels") and find_spec("bitsandbytes")):
        return
    loaded = sys.modules.get("kernels")
    sys.modules["kernels"] = None  # type: ignore[assignment] # an import of it fails
    try:
        importlib.import_module("bitsandbytes")
    finally:
        del sys.modules["kernels"]
        if loaded:
            sys.modules["kernels"] = loaded


def import_torchmetrics() -> None:
    """As if neither scipy nor matplotlib were installed: it imports both for metrics and plots that no run has.

    Lightning imports it, and these two would be about a seventh of the time in which a run starts.
    """
    import sys

    from lightning_utilities.core import imports

    if "torchmetrics" in sys.modules:
        return
    absent, cache = ("scipy", "matplotlib"), imports.RequirementCache
    is_available, check = imports.package_available, cache._check_available

    def checked(self: imports.RequirementCache) -> None:
        if self.requirement in absent:
            self.available = False
        check(self)

    imports.package_available = lambda name: name not in absent and is_available(name)
    cache._check_available = checked
    try:
        import torchmetrics  # noqa: F401
    finally:
        imports.package_available, cache._check_available = is_available, check


def silence_libraries() -> None:
    """Banners, progress bars and what torchao says of kernels for other GPUs would break the lines of a grid."""
    import logging

    for library in NOISY:
        logging.getLogger(library).setLevel(logging.ERROR)
    keep_hub_kernels_out()  # transformers and peft import bitsandbytes too
    from transformers.utils import logging as transformers_logging  # it imports torchao, where that is installed

    transformers_logging.disable_progress_bar()


def build_model(point: Point) -> PreTrainedModel:
    """The model on the CPU, or without memory where each process will read its shards from the files."""
    from cptlab.training.parallel.strategy import is_sharded

    config, vocab_size = point.config, point.corpora.vocab_size
    folder = config.model.folder()
    if folder is not None and is_sharded(config.machine) and not config.adapter.needs_weights:
        from cptlab.training.parallel.streaming import build_on_meta

        return build_on_meta(folder, vocab_size, config.data.sequence_length)
    return build_whole(point)


def build_whole(point: Point) -> PreTrainedModel:
    """The model on the CPU of this process, its random weights from the seed.

    A new model's configuration ends texts where the tokenizer does; that of a base stays as it is.
    """
    config, corpora = point.config, point.corpora
    return model_of(config.model, corpora.vocab_size, corpora.eos_id, config.data.sequence_length, config.seed)


def model_of(variant: Model, vocab_size: int, eos_id: int, sequence_length: int, seed: int) -> PreTrainedModel:
    """What a model variant builds, for a tokenizer of `vocab_size` tokens that ends texts with `eos_id`."""
    model = variant.build(vocab_size, sequence_length, seed)
    if variant.folder() is None:
        for settings in (model.config, model.generation_config):
            if settings is not None:
                settings.eos_token_id, settings.bos_token_id = eos_id, None
    return model


def attention_of(machine: Machine, model: PreTrainedModel, sequence_length: int) -> Choice:
    """The attention that the machine asks for, installed. UserError unless it keeps documents apart."""
    from cptlab.training.attention import choose, install, refuse_leaking_documents

    device = "cuda" if machine.accelerator == "gpu" else "cpu"
    choice = choose(machine.attention, device, machine.resolved_precision, model.config.model_type)
    install(model, choice, sequence_length)
    refuse_leaking_documents(model, choice)
    return choice


def save_model(model: PreTrainedModel, point: Point, folder: RunFolder) -> str:
    """Weights (safetensors), configuration and tokenizer in `<run>/model`; returns the weights' SHA-256.

    Every process calls: shards are gathered from all. "" on those that write nothing.
    """
    import shutil

    from cptlab.models.base import weights_sha256
    from cptlab.training.parallel.gather import has_shards, save_whole, unsharded

    target = folder.path / "model"
    if folder.writes:
        shutil.rmtree(target, ignore_errors=True)
    adapted = bool(point.config.adapter.identity())
    if has_shards(model) and not adapted:
        save_whole(model, target, folder.writes)
    else:
        whole = unsharded(model, lambda: point.config.adapter.apply(build_whole(point)), folder.writes)
        if whole is not None:
            point.config.adapter.merged(whole).save_pretrained(target, safe_serialization=True)
    if not folder.writes:
        return ""
    for file in Path(point.corpora.tokenizer_path).iterdir():
        shutil.copyfile(file, target / file.name)
    return weights_sha256(target)
