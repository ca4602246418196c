"""Hydra's multirun over the points of a study file, with any launcher: `python train.py -m hydra/sweeper=study`."""

from __future__ import annotations

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from cptlab.launch import dict_override
from cptlab.sweeps.first import points_of_file

NAME = "hydra_plugins.cptlab.StudySweeper"  # Hydra takes plug-ins of that package alone


class StudySweeper(Sweeper):
    """Hands the points to the launcher, all at once. They were checked before Hydra began (train.py: preflight)."""

    launcher: Launcher

    def __init__(self, file: str) -> None:
        """file: study folder, or its grid.yaml."""
        self.file = file

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher that the command line asks for."""
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch every point; arguments: the command line's own overrides, which come last in each."""
        points = [[dict_override(each) for each in point] for point in points_of_file(self.file, arguments)]
        answers = self.launcher.launch(points, initial_job_idx=0)
        return [[answer.return_value for answer in answers]]  # raises what a job raised


def add_sweeper() -> None:
    """From now on Hydra finds it behind conf/hydra/sweeper/study.yaml."""
    Plugins.instance().class_name_to_class[NAME] = StudySweeper
