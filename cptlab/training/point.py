"""A configuration with its corpora, base and order opened: all that can be refused before training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.corpus import Corpora, prepare
from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.models.base import Base
from cptlab.records.base_areas import final_lr
from cptlab.records.run import RunFolder
from cptlab.training.before import check_moments, earlier_of, order_of
from cptlab.training.branch import Trunk, open_trunk, refuse_other_order
from cptlab.training.checkpoint import folder as checkpoints
from cptlab.training.facts import identify
from cptlab.training.fits import check_layers, check_length, check_machine, check_vocabulary, read_config
from cptlab.training.importance import check_importance
from cptlab.training.named import check_named
from cptlab.training.parallel.launch import check_processes
from cptlab.training.parallel.ranks import is_first_process
from cptlab.training.stored_size import still_to_store, vocabulary_of

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


@dataclass(frozen=True)
class Point:
    """A configuration with its data and base opened and checked: all that can be refused before training."""

    config: TrainConfig
    corpora: Corpora
    base: Base
    stream: TokenStream
    folder: RunFolder
    trunk: Trunk | None = None
    answers: int = 0  # [byte] at most, of the base's answers that it will store

    @property
    def run_id(self) -> str:
        """Name of the record."""
        return self.folder.path.name


def open_point(config: TrainConfig, known: dict[str, Any] | None = None, here: bool = True) -> Point:
    """Open corpora, base and order. UserError for anything that does not fit together; weights are only hashed.

    known: filled with what was opened; the points of a grid share it, so that a base is hashed once.
    here: whether it will train on this machine, whose GPUs are then looked at.
    """
    check_processes(config.machine, config.rows_per_step)
    known = {} if known is None else known
    if repr(config.model) not in known:
        known[repr(config.model)] = config.model.base(), config.model.folder()
    base, weights = known[repr(config.model)]
    config.lr_schedule = config.lr_schedule.after(
        final_lr(asdict(base)), config.optimizer.peak_lr, base.kind == "scratch"
    )
    given, given_base = config, base  # the record is named by what was asked for, whatever was made of it
    check_together(config, weights, known, here)  # before a base with other tokens is made: that takes minutes
    if config.vocab.identity():
        config, base, weights = changed_vocabulary(config, base, known)
        config.regularizer.check_data(config.data.names(), config.data.general, weights)
    described = check_tokens(config, weights, known)
    text = repr((config.data, config.selection, str(weights)))
    if text not in known:
        known[text] = prepare(config.data, str(weights) if weights else None, config.selection)
        if weights and config.data.tokenizer != "auto":
            check_tokenizer(known[text], weights)
    corpora = known[text]
    if weights:
        own = config.data.tokenizer == "auto"
        check_vocabulary(described, weights, corpora.vocab_size, config.data.sequence_length, own)
    trunk = open_trunk(config, corpora, base)
    stream = order_of(config, corpora, earlier_of(config, corpora, base))
    check_importance(config, weights, corpora.vocab_size, known)
    if trunk:
        refuse_other_order(config, stream)
    identity = identify(given, corpora, given_base, trunk.of_branch() if trunk else None)
    folder = RunFolder(Path(config.runs) / identity, is_first_process())
    if not (folder.is_finished or checkpoints.kept(folder.path)):
        check_moments(config, base)
    width = vocabulary_of(described, corpora.vocab_size)
    answers = 0 if folder.is_finished else still_to_store(config, stream, folder.path, width)
    return Point(config, corpora, base, stream, folder, trunk, answers)


def changed_vocabulary(config: TrainConfig, base: Base, known: dict[str, Any]) -> tuple[TrainConfig, Base, Path]:
    """The configuration with a base that has the tokens of `vocab`; what follows sees a base like any other."""
    from cptlab.training.build import silence_libraries
    from cptlab.vocabulary.building.adapt import adapt

    silence_libraries()
    key = repr((config.model, config.vocab, config.data))
    if key not in known:
        known[key] = adapt(config.vocab, config.model, base, config.data)
    return replace(config, model=known[key].model), known[key].base, known[key].folder


def check_together(config: TrainConfig, weights: Path | None, known: dict[str, Any], here: bool) -> None:
    """What can be refused of machine, layers, rows and names before tokens or corpora are looked at."""
    described = described_in(weights, known)
    kind = described.get("model_type", "llama")  # what model=tiny builds
    seen = repr((config.machine, kind))
    if seen not in known:
        check_machine(config.machine, kind, here)
        known[seen] = True
    length = config.data.sequence_length
    seen = repr((config.model, config.adapter, config.machine.tensor_parallel, length))
    if seen not in known:
        check_layers(config, weights)
        known[seen] = True
    check_length(described, weights, length)
    if names := config.data.names():
        check_named(config, names, weights)


def check_tokens(config: TrainConfig, weights: Path | None, known: dict[str, Any]) -> dict[str, Any]:
    """What can be refused of the tokenizer before a corpus is built. Returns the base's config.json."""
    described, length = described_in(weights, known), config.data.sequence_length
    named = str(weights) if config.data.tokenizer == "auto" else config.data.tokenizer
    seen = repr((weights, named, length))
    if weights and seen not in known and Path(named).exists():  # else its size is known with the corpora
        from cptlab.data.tokenizer import load_tokenizer

        check_vocabulary(described, weights, load_tokenizer(named).vocab_size, length, named == str(weights))
        known[seen] = True
    return described


def described_in(weights: Path | None, known: dict[str, Any]) -> dict[str, Any]:
    """config.json of a base, read once."""
    file = f"config.json of {weights}"
    if file not in known:
        known[file] = read_config(weights)
    return known[file]


def check_tokenizer(corpora: Corpora, weights: Path) -> None:
    """UserError unless the corpora were cut by the tokenizer that the base was trained with."""
    from cptlab.data.tokenizer import load_tokenizer

    expected = load_tokenizer(str(weights)).hash
    if expected != corpora.tokenizer_hash:
        raise UserError(
            f"data.tokenizer (hash {corpora.tokenizer_hash[:12]}) does not match the base in {weights} (hash"
            f" {expected[:12]}); leave data.tokenizer=auto to use the base's own"
        )
