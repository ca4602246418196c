"""Train one point, or with -m a grid, and record it. `python train.py --help` shows groups and defaults."""

import sys
import time

from cptlab.launch import launch

started = time.monotonic()
ended: list[float] = []  # seconds of the points of this multirun that trained
total = 1


def preflight(overrides: list[str]) -> None:
    """Compose and check every point of a multirun before the first one trains."""
    global total
    from cptlab.sweeps.preflight import check_points, expand

    points = expand(overrides)
    total = len(points)
    check_points(points)


def task(cfg) -> None:  # noqa: ANN001
    """One point."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from cptlab.sweeps.lines import outcome_line
    from cptlab.training.run import train_point

    hydra = HydraConfig.get()
    outcome = train_point(OmegaConf.to_object(cfg), list(hydra.overrides.task))  # type: ignore[arg-type]
    number = 1 + hydra.job.num if "num" in hydra.job and total > 1 else 1
    print(outcome_line(outcome, number, total, time.monotonic() - started), flush=True)
    if outcome.status == "failed" and total == 1:
        sys.exit(1)


if __name__ == "__main__":
    launch(task, "train", preflight)
