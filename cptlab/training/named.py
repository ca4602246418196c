"""What the names of corpora alone refuse: they are known before a tokenizer is trained or a corpus built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cptlab.data.refusals import refuse_source
from cptlab.mixtures.phased import Phased
from cptlab.mixtures.ramp import Ramp
from cptlab.mixtures.static import Static

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


def check_named(config: TrainConfig, names: Sequence[str], weights: Path | None) -> None:
    """UserError where replay, regularizer, objective or mixture lack a corpus, or replay a step to work in.

    names: of the corpora. weights: folder of the base's, None for random ones, or where they are not trained yet.
    """
    replay, general = config.replay, config.data.general
    replay.check_run(config.steps, config.rows_per_step)
    source = replay.corpus or general
    if not replay.from_buffer and source not in names and replay.bounds(np.linspace(0, 1, 101))[1].any():
        refuse_source(source, list(names))
    config.regularizer.check_data(names, general, weights)
    config.objective.token_weights(names)
    if isinstance(config.mixture, Static | Phased | Ramp):  # others ask for the corpora's sizes
        config.mixture.weights(np.ones(1), names, general)
