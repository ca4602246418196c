"""Compose, build and check every point of a grid before the first one runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.launch import CONF, dict_override, explain, typed

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


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
    """Compose all points and open their corpora, base and order; the first mistake names its point."""
    from cptlab.training.run import open_point

    configs = []
    shared = set.intersection(*map(set, points)) if points else set()
    for number, overrides in enumerate(points, 1):
        try:
            config = compose_point([o for o in overrides if not o.startswith("hydra")])
            open_point(config)
        except UserError as error:
            where = (
                f" (point {number} of {len(points)}: {' '.join(o for o in overrides if o not in shared)})"
                if len(points) > 1
                else ""
            )
            raise UserError(f"{error}{where}; nothing was started") from error
        configs.append(config)
    return configs
