"""A configuration with its corpora, base and order opened: all that can be refused before training."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.corpus import Corpora, prepare
from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.models.base import Base
from cptlab.records.run import RunFolder
from cptlab.training.facts import identify
from cptlab.training.parallel.fp8 import check_fp8
from cptlab.training.parallel.launch import check_processes
from cptlab.training.parallel.ranks import is_first_process

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.training.machine import Machine


@dataclass(frozen=True)
class Point:
    """A configuration with its data and base opened and checked: all that can be refused before training."""

    config: TrainConfig
    corpora: Corpora
    base: Base
    stream: TokenStream
    folder: RunFolder

    @property
    def run_id(self) -> str:
        """Name of the record."""
        return self.folder.path.name


def open_point(config: TrainConfig, known: dict[str, Any] | None = None) -> Point:
    """Open corpora, base and order. UserError for anything that does not fit together; no torch yet.

    known: filled with what was opened; the points of a grid share it, so that a base is hashed once.
    """
    check_processes(config.machine, config.rows_per_step)
    check_fp8(config.machine)
    check_devices(config.machine)
    known = {} if known is None else known
    if repr(config.model) not in known:
        known[repr(config.model)] = config.model.base(), config.model.folder()
    base, weights = known[repr(config.model)]
    given, given_base = config, base  # the record is named by what was asked for, whatever was made of it
    if config.vocab.identity():
        config, base, weights = changed_vocabulary(config, base, known)
    text = repr((config.data, config.selection, str(weights)))
    if text not in known:
        known[text] = prepare(config.data, str(weights) if weights else None, config.selection)
        if weights and config.data.tokenizer != "auto":
            check_tokenizer(known[text], weights)
        if weights:
            check_rows(known[text], weights)
    corpora = known[text]
    stream = TokenStream.plan(
        {name: splits["train"] for name, splits in corpora.corpora.items()}, config.mixture, config.replay,
        general=config.data.general, steps=config.steps, rows_per_step=config.rows_per_step,
        sequence_length=config.data.sequence_length, eos_id=corpora.eos_id, seed=config.seed,
        vocab_size=corpora.vocab_size, packing=config.data.packing, max_epochs=config.data.max_epochs,
        on_max_epochs=config.data.on_max_epochs,
    )  # fmt: skip
    folder = RunFolder(Path(config.runs) / identify(given, corpora, given_base), writes=is_first_process())
    return Point(config, corpora, base, stream, folder)


def changed_vocabulary(config: TrainConfig, base: Base, known: dict[str, Any]) -> tuple[TrainConfig, Base, Path]:
    """The configuration with a base that has the tokens of `vocab`; what follows sees a base like any other."""
    from cptlab.training.build import silence_libraries
    from cptlab.vocabulary.building.adapt import adapt

    silence_libraries()
    key = repr((config.model, config.vocab, config.data))
    if key not in known:
        known[key] = adapt(config.vocab, config.model, base, config.data)
    return replace(config, model=known[key].model), known[key].base, known[key].folder


def check_devices(machine: Machine) -> None:
    """UserError for GPUs that are not there. torch is imported only where a GPU is asked for."""
    if machine.accelerator != "gpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise UserError("machine.accelerator is gpu but torch sees none; use machine=cpu_1 or install a CUDA torch")
    if torch.cuda.device_count() < machine.devices:
        raise UserError(
            f"machine.devices is {machine.devices} but torch sees {torch.cuda.device_count()} GPUs; set"
            " machine.devices to what is here"
        )


def check_tokenizer(corpora: Corpora, weights: Path) -> None:
    """UserError unless the corpora were cut by the tokenizer that the base was trained with."""
    from cptlab.data.tokenizer import load_tokenizer

    expected = load_tokenizer(str(weights)).hash
    if expected != corpora.tokenizer_hash:
        raise UserError(
            f"data.tokenizer (hash {corpora.tokenizer_hash[:12]}) does not match the base in {weights} (hash"
            f" {expected[:12]}); leave data.tokenizer=auto to use the base's own"
        )


def check_rows(corpora: Corpora, weights: Path) -> None:
    """UserError for a tokenizer with more tokens than the base embeds."""
    config = json.loads((weights / "config.json").read_text("utf8"))
    rows = (config.get("text_config") or config).get("vocab_size")
    if rows is not None and corpora.vocab_size > rows:
        raise UserError(
            f"the tokenizer has {corpora.vocab_size} tokens and the base in {weights} embeds {rows}: take the base's"
            " own (data.tokenizer=auto), or give the base new tokens with vocab=extend or vocab=replace"
        )
