"""Compose, build and check every point of a grid before the first one runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from cptlab.errors import UserError
from cptlab.launch import CONF, dict_override, explain, typed

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


T = TypeVar("T")


def expand(overrides: list[str]) -> list[list[str]]:
    """The points of a multirun command line, as Hydra's own sweeper makes them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(overrides)
    return [list(point) for batch in BasicSweeper.split_arguments(parsed, None) for point in batch]


def compose_point(overrides: list[str]) -> TrainConfig:
    """The typed configuration of one point. UserError names what is wrong."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from cptlab.config import register

    register()
    overrides = [dict_override(override) for override in overrides]
    try:
        if GlobalHydra.instance().is_initialized():
            return typed(compose("train", overrides))
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return typed(compose("train", overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, "train")) from error


def check_points(points: list[list[str]]) -> list[TrainConfig]:
    """Compose all points, then open their corpora, base and order; the first mistake names its point."""
    from cptlab.training.run import open_point

    # All are composed before a corpus is built for any: the cheap mistakes answer at once.
    configs = [_named(points, i, lambda i=i: compose_point(task_overrides(points[i]))) for i in range(len(points))]
    for i, config in enumerate(configs):
        _named(points, i, lambda config=config: open_point(config))
    return configs


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
        shared = set.intersection(*map(set, points))
        own = " ".join(override for override in points[number] if override not in shared)
        raise UserError(f"{error} (point {number + 1} of {len(points)}: {own}); nothing was started") from error
