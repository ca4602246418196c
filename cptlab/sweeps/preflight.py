"""Compose, build and check every point of a grid before the first one runs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from cptlab.errors import UserError
from cptlab.launch import CONF, dict_override, explain, typed
from cptlab.sweeps.slurm.choose import chosen
from cptlab.variants import HOMES

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from cptlab.config import TrainConfig
    from cptlab.training.point import Point


T = TypeVar("T")


def expand(overrides: list[str]) -> list[list[str]]:
    """The points of a multirun command line, as Hydra's own sweeper makes them, or `hydra/sweeper=study`."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(overrides)
    hydras = {each.key_or_group: each.value() for each in parsed if each.key_or_group.startswith("hydra")}
    if hydras.get("hydra/sweeper") == "study":
        from cptlab.sweeps.first import points_of_file

        if not (file := hydras.get("hydra.sweeper.file")):
            raise UserError("hydra/sweeper=study needs the study: hydra.sweeper.file=experiments/quickstart")
        if swept := next((each for each in parsed if each.is_sweep_override()), None):
            raise UserError(f"{swept.input_line}: with hydra/sweeper=study the file alone has axes; put it there")
        own = [each for each in overrides if each not in task_overrides(overrides)]
        return [[*point, *own] for point in points_of_file(str(file), task_overrides(overrides))]
    return [list(point) for batch in BasicSweeper.split_arguments(parsed, None) for point in batch]


def compose_point(overrides: list[str]) -> TrainConfig:
    """The typed configuration of one point. UserError names what is wrong.

    As Hydra composes it: first the groups chosen, which many points share and which are composed once, then the values.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        parsed = OverridesParser.create().parse_overrides([dict_override(override) for override in overrides])
        groups = tuple(each.input_line or "" for each in parsed if _chooses(each.key_or_group))
        config = copy.deepcopy(_composed(groups))
        values = [each for each in parsed if not _chooses(each.key_or_group)]
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        return typed(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, "train")) from error


def _chooses(key: str) -> bool:
    """Whether an override says which variant a group takes, and is no value of one."""
    return "." not in key and (key in HOMES or "/" in key or "@" in key)


@functools.lru_cache(maxsize=64)
def _composed(groups: tuple[str, ...]) -> DictConfig:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from cptlab.config import register

    register()
    if GlobalHydra.instance().is_initialized():
        return compose("train", list(groups))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(groups))


def compose_points(points: list[list[str]]) -> list[TrainConfig]:
    """The configurations of all points, nothing opened yet; the first mistake names its point."""
    return [_named(points, i, lambda i=i: compose_point(task_overrides(points[i]))) for i in range(len(points))]


def check_points(points: list[list[str]], streams: bool = False) -> list[Point]:
    """Compose all points, then open their corpora, base and order; the first mistake names its point.

    Whether machine, model, adapter and tokenizer go together is looked at once for points that share them.
    streams: whether points may be streams, of which the first stage is returned.
    """
    # All are composed before a corpus is built for any: the cheap mistakes answer at once.
    return open_points(points, compose_points(points), streams)


def open_points(points: list[list[str]], configs: list[TrainConfig], streams: bool = False) -> list[Point]:
    """Open corpora, base and order of composed points. UserError if two of them are one run."""
    from cptlab.training.named import check_named
    from cptlab.training.point import open_point

    def named(config: TrainConfig) -> None:
        if not config.stream and (names := config.data.names()):
            check_named(config, names, None)

    for i, config in enumerate(configs):  # all of them, before a corpus is built for the first
        _named(points, i, lambda config=config: named(config))
    known: dict[str, Any] = {}
    here = "slurm" not in chosen(points[0])  # a login node has no GPU, the jobs' machines have

    def opened_point(i: int) -> Point:
        if not configs[i].stream:
            return open_point(configs[i], known, here)
        if not (streams and here):
            raise UserError(
                "stream trains its stages one after the other in one process, so it is no point of a study or of a job"
                " of SLURM; use `python train.py`, with -m for several streams"
            )
        from cptlab.sweeps.stages import open_stream

        return open_stream(configs[i], points[i], known)

    opened = [_named(points, i, lambda i=i: opened_point(i)) for i in range(len(points))]
    first: dict[tuple[str, str], int] = {}
    for i, point in enumerate(opened):
        config = configs[i]  # two streams may share their first stage
        later = repr((config.stream, config.stage, config.regularizer)) if config.stream else ""
        before = first.setdefault((point.run_id, later), i)
        if before != i:
            raise UserError(
                f"points {before + 1} and {i + 1} of {len(points)} are the same run ({' '.join(own(points, before))};"
                f" {' '.join(own(points, i))}); leave one out; nothing was started"
            )
    return opened


def task_overrides(overrides: list[str]) -> list[str]:
    """Without Hydra's own settings."""
    return [override for override in overrides if not override.startswith("hydra")]


def _named(points: list[list[str]], number: int, check: Callable[[], T]) -> T:
    """What `check` returns; its UserError gets the point's number and what sets it apart from the others."""
    try:
        return check()
    except UserError as error:
        if len(points) == 1:
            raise
        here = " ".join(own(points, number))
        raise UserError(f"{error} (point {number + 1} of {len(points)}: {here}); nothing was started") from error


def own(points: list[list[str]], number: int) -> list[str]:
    """The overrides of a point that not all points have."""
    shared = set.intersection(*map(set, points))
    return [override for override in points[number] if override not in shared]
