"""Which callbacks a run needs because its mixture or its replay learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cptlab.data.stream import TokenStream
from cptlab.mixtures.adaptive import AdaptiveMixture
from cptlab.replay.adaptive import AdaptiveReplay
from cptlab.training.adaptive_mixture import Steering
from cptlab.training.adaptive_replay import ReplaySteering
from cptlab.training.segments import Segments

if TYPE_CHECKING:
    from cptlab.config import TrainConfig
    from cptlab.training.recorder import Recorder


def steering(config: TrainConfig, stream: TokenStream, recorder: Recorder) -> list[Steering | ReplaySteering]:
    """One for each of the two that learns; both plan the same segments."""
    mixture, replay, general = config.mixture, config.replay, config.data.general
    names = [corpus.name for corpus in stream.corpora]
    learns = {
        side: each.decision_steps(stream.steps)
        for side, each in (("mixture", mixture), ("replay", replay))
        if isinstance(each, AdaptiveMixture | AdaptiveReplay)
    }
    segments = Segments(
        stream, learns, {"mixture": lambda u: mixture.weights(u, names, general), "replay": replay.share}
    )
    callbacks: list[Steering | ReplaySteering] = []
    if isinstance(mixture, AdaptiveMixture):
        callbacks.append(Steering(mixture, segments, recorder))
    if isinstance(replay, AdaptiveReplay):
        callbacks.append(ReplaySteering(replay, general, segments, recorder))
    return callbacks
