"""The stages before one, out of their records: what they read, and the optimizer state that the last one left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.earlier import Earlier
from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.training.checkpoint import folder as checkpoints
from cptlab.training.compared import refuse_nothing_compared
from cptlab.training.constrained import refuse_unlike_rows
from cptlab.training.facts import plain
from cptlab.training.named import check_named
from cptlab.training.stored_size import still_to_store
from cptlab.variants import discover_group

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.data.corpus import Corpora
    from cptlab.models.base import Base


def run_before(config: TrainConfig, base: Base) -> Path:
    """Folder of the run whose weights a stage goes on with. UserError where the base is no run of cptlab."""
    folder = config.model.folder()
    if base.kind != "run" or folder is None:
        raise UserError(
            "stage.follows: the base is no run of cptlab, so nothing tells what it has read; give the run folder of the"
            " stage before (model.base_run, or model.path)"
        )
    return folder.parent


def earlier_of(config: TrainConfig, corpora: Corpora, base: Base) -> Earlier | None:
    """What the stages before have read; None for a run that follows none. UserError where that cannot be told."""
    if not config.stage.follows:
        return None
    return Earlier(stream_of(run_before(config, base), corpora), config.stage.buffer == "stream")


def stream_of(run: Path, corpora: Corpora) -> TokenStream:
    """The order of a finished run, worked out again from its record. UserError where other text would be in it."""
    facts = json.loads((run / "run.json").read_text("utf8"))
    config = facts["config"]
    refuse_other_text(facts, corpora)
    mixture, replay = (from_record(group, config[group]) for group in ("mixture", "replay"))
    refuse_learning(mixture, replay, facts["steps_total"], f"stage {facts['run_id']}")
    earlier, stage = None, config.get("stage") or {}
    if stage.get("follows"):
        earlier = Earlier(stream_of(run.parent / facts["base"]["run_id"], corpora), stage["buffer"] == "stream")
    data = config["data"]
    return TokenStream.plan(
        {name: splits["train"] for name, splits in corpora.corpora.items()}, mixture, replay, general=data["general"],
        steps=facts["steps_total"], rows_per_step=config["rows_per_step"], sequence_length=facts["sequence_length"],
        eos_id=corpora.eos_id, seed=facts["seed"], vocab_size=corpora.vocab_size,
        packing=data.get("packing", "concat"), max_epochs=data.get("max_epochs"),
        on_max_epochs=data.get("on_max_epochs", "error"), earlier=earlier,
    )  # fmt: skip


def order_of(config: TrainConfig, corpora: Corpora, earlier: Earlier | None) -> TokenStream:
    """The order of the run that a configuration describes. UserError for what cannot be, or leaves a method nothing."""
    stream = TokenStream.plan(
        {name: splits["train"] for name, splits in corpora.corpora.items()}, config.mixture, config.replay,
        general=config.data.general, steps=config.steps, rows_per_step=config.rows_per_step,
        sequence_length=config.data.sequence_length, eos_id=corpora.eos_id, seed=config.seed,
        vocab_size=corpora.vocab_size, packing=config.data.packing, max_epochs=config.data.max_epochs,
        on_max_epochs=config.data.on_max_epochs, earlier=earlier,
    )  # fmt: skip
    refuse_nothing_compared(config, stream)
    refuse_unlike_rows(config, stream)
    return stream


def plan_later(config: TrainConfig, corpora: Corpora, before: TokenStream) -> TokenStream:
    """The order of a stage whose base is not trained yet. UserError for what its own opening would refuse."""
    refuse_learning(config.mixture, config.replay, config.steps, "stream")
    check_named(config, list(corpora.corpora), None)
    stream = order_of(config, corpora, Earlier(before, config.stage.buffer == "stream"))
    still_to_store(config, stream, Path(config.runs) / "later", corpora.vocab_size)
    return stream


def refuse_other_text(facts: dict[str, Any], corpora: Corpora) -> None:
    """UserError unless an earlier stage had this tokenizer and these corpora."""
    name = facts["run_id"]
    if facts["tokenizer_hash"] != corpora.tokenizer_hash:
        raise UserError(
            f"stage.follows: the stage before, {name}, had another tokenizer ({facts['tokenizer_hash'][:12]}, now"
            f" {corpora.tokenizer_hash[:12]}); a stream keeps one: leave data.tokenizer=auto"
        )
    theirs = {corpus: splits["train"]["content_hash"] for corpus, splits in facts["corpora"].items()}
    mine = {corpus: splits["train"].content_hash for corpus, splits in corpora.corpora.items()}
    if theirs != mine:
        other = sorted(corpus for corpus in {*theirs, *mine} if theirs.get(corpus) != mine.get(corpus))
        raise UserError(
            f"stage.follows: the stage before, {name}, had other text in {', '.join(other)}; every stage of a stream"
            " names the same data"
        )


def refuse_learning(mixture: Any, replay: Any, steps: int, where: str) -> None:
    """UserError for what decides while it trains: a later stage could not tell which rows it has read."""
    for group, variant in (("mixture", mixture), ("replay", replay)):
        if variant.planned_at_start(steps) < steps:
            raise UserError(
                f"{where}: {group}={variant.variant_name} decides while it trains, so that a later stage cannot tell"
                f" which rows it has read; use {'mixture=static' if group == 'mixture' else 'replay=fixed or buffer'}"
                " in a stream"
            )


def from_record(group: str, described: dict[str, Any]) -> Any:
    """The variant that a record describes."""
    return discover_group(group)[described["variant"]](**{k: v for k, v in described.items() if k != "variant"})


def last_checkpoint(run: Path) -> Path:
    """Where the checkpoint of a run's last step lies, whether it is there or not."""
    facts = json.loads((run / "run.json").read_text("utf8"))
    return checkpoints.final_name(run, facts["steps_total"])


def check_moments(config: TrainConfig, base: Base) -> None:
    """UserError unless the stage before left the optimizer state that `stage.optimizer=keep` goes on with."""
    if not (config.stage.follows and config.stage.optimizer == "keep"):
        return
    run = run_before(config, base)
    theirs = json.loads((run / "run.json").read_text("utf8"))["config"]["optimizer"]
    if _without_lr(theirs) != _without_lr(plain(config.optimizer)):
        raise UserError(
            f"stage.optimizer=keep: the stage before, {run}, had another optimizer ({theirs.get('variant')}); give it"
            " the same with the same settings (peak_lr may differ), or use stage.optimizer=reset"
        )
    refuse_without_moments(run)


def refuse_without_moments(run: Path) -> None:
    """UserError unless a finished run kept the checkpoint of its last step."""
    if not (last_checkpoint(run) / checkpoints.MARKER).exists():
        raise UserError(
            f"stage.optimizer=keep: {run} no longer has the checkpoint of its last step; remove that folder and train"
            " it again with checkpoint.keep_finished=true (a stream with stage.optimizer=keep does), or use"
            " stage.optimizer=reset"
        )


def _without_lr(optimizer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in optimizer.items() if name != "peak_lr"}
