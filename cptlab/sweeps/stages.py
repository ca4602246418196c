"""`train.py stream=[law,medical]`: a run a stage, each from the weights of the one before, checked before the first.

A stage is the run of an ordinary command: that of the stream with `mixture.domain`, the base and `stage.follows` set.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError, closest
from cptlab.sweeps.preflight import compose_point, task_overrides
from cptlab.sweeps.values import value_text

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.training.outcome import Outcome
    from cptlab.training.point import Point

# Keys of the command that are the stream's, and those that only its first stage has: later ones start from its weights.
OF_STREAM = ("stream", "mixture.domain")
OF_FIRST = ("vocab", "model.base_run", "model.path", "model.revision", "model.lr_history", "regularizer.importance")


def stage_overrides(config: TrainConfig, overrides: list[str], number: int, before: Path | None = None) -> list[str]:
    """The command line of stage `number` (from 0) of a stream; before: run folder of the stage before."""
    gone = OF_STREAM if before is None else (*OF_STREAM, *OF_FIRST)
    kept = [each for each in task_overrides(overrides) if not _is_of(each, gone)]
    own: dict[str, object] = {"mixture.domain": config.stream[number]}
    if before is None:
        kept = [each for each in kept if not _is_of(each, ("stage",))]
        if _only_measures(config):
            own["regularizer.strength"] = 0  # nothing is known yet of which weights matter
    else:
        own |= {
            "vocab": "none",
            "model.base_run" if config.model.variant_name == "tiny" else "model.path": str(before),  # type: ignore[attr-defined]
            "stage.follows": True,
        }
    if config.stage.optimizer == "keep" and number + 1 < len(config.stream):
        own["checkpoint.keep_finished"] = True
    return [*kept, *(f"{key}={value_text(value)}" for key, value in own.items())]


def _is_of(override: str, keys: tuple[str, ...]) -> bool:
    """Whether an override is of one of the keys, or of one below it."""
    key = override.lstrip("+~").partition("=")[0]
    return any(key == one or key.startswith(f"{one}.") for one in keys)


def _only_measures(config: TrainConfig) -> bool:
    """si, rwalk: the first stage has no importance to hold weights by unless its base left one."""
    return config.regularizer.lacks_importance(config.model.folder())


def open_stream(config: TrainConfig, overrides: list[str], known: dict[str, Any] | None = None) -> Point:
    """The first stage, opened, after every stage was composed and its order planned. UserError for what cannot work."""
    check_names(config)
    from cptlab.training.before import plan_later, refuse_without_moments
    from cptlab.training.point import open_point

    first = compose_point(stage_overrides(config, overrides, 0))
    point = open_point(first, known)
    stream = point.stream
    for number, name in enumerate(config.stream[1:], 1):
        later = compose_point(stage_overrides(config, overrides, number, point.folder.path))
        try:
            stream = plan_later(later, point.corpora, stream)
        except UserError as error:
            raise UserError(f"{error} (stage {number + 1} of the stream, {name}); nothing was started") from error
    if config.stage.optimizer == "keep" and len(config.stream) > 1 and point.folder.is_finished:
        refuse_without_moments(point.folder.path)
    return point


def check_names(config: TrainConfig) -> None:
    """UserError for a stream that names no corpora of these data, or goes with no part of the configuration."""
    stream, mixture, data = config.stream, config.mixture, config.data
    name = mixture.variant_name  # type: ignore[attr-defined]
    known = data.names()
    for corpus in stream:
        if corpus not in known:
            raise UserError(f"stream names the corpus {corpus}, which data does not have.{closest(corpus, known)}")
        if corpus == data.general:
            raise UserError(
                f"stream names {corpus}, the general corpus, whose share goes with every stage as the mixture says;"
                " leave it out, or set data.general='' to make it a domain like the others"
            )
    if twice := [one for one, other in pairwise(stream) if one == other]:
        raise UserError(f"stream has {twice[0]} twice in a row, which is one stage of twice the tokens; raise `tokens`")
    named = next((key for key in ("shares", "start_shares") if getattr(mixture, key, None)), "")
    if not hasattr(mixture, "domain") or named:
        raise UserError(
            f"stream: mixture={name}{f' with {named}' if named else ''} has no domain of its own to change from"
            " stage to stage; use mixture=domain_only, or mixture=static with mixture.domain_share"
        )
    if mixture.domain:  # type: ignore[attr-defined]
        raise UserError("mixture.domain is what stream sets in every stage; leave it out")
    if config.stage.follows:
        raise UserError("stage.follows is what stream sets from its second stage on; leave it out")
    if config.branch.run:
        raise UserError("stream and branch.run do not go together: a branch leaves one run within its course")
    if not config.save_model and len(stream) > 1:
        raise UserError("stream needs save_model=true: each stage starts from the weights that the one before keeps")


def train_stream(config: TrainConfig, overrides: list[str], quiet: bool = False) -> Iterator[tuple[str, Outcome]]:
    """Trains stage by stage: (corpus, how it ended). Ends after one that did not finish: the next needs its weights."""
    from cptlab.training.run import train_point

    before = None
    for number, name in enumerate(config.stream):
        own = stage_overrides(config, overrides, number, before)
        outcome = train_point(compose_point(own), own, quiet=quiet)
        yield name, outcome
        if outcome.status not in ("finished", "skipped"):
            return
        before = outcome.folder
