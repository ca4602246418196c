"""The record of a run whose model found no memory while it was built: counted without weights."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from cptlab.records.run import FAILED
from cptlab.training.facts import facts_of, of_attempt
from cptlab.training.outcome import Outcome
from cptlab.training.parallel.failure import tell_failure

if TYPE_CHECKING:
    from cptlab.training.point import Point


def record_unbuilt(point: Point, overrides: list[str], started: float) -> Outcome:
    """A failed record, with what would have taken the memory and what to change. started: by `time.monotonic`."""
    from cptlab.adapters.base import count_trainable
    from cptlab.models.base import count_params
    from cptlab.training.attention import choose
    from cptlab.training.fits import skeleton
    from cptlab.training.parallel.memory import out_of_memory

    config, folder, machine = point.config, point.folder, point.config.machine
    model = skeleton(config.model, config.model.folder(), config.data.sequence_length, point.corpora.vocab_size)
    params = count_params(model)
    trained = count_trainable(config.adapter.outline(model))[0]
    device = "cuda" if machine.accelerator == "gpu" else "cpu"
    attention = choose(
        machine.attention, device, machine.resolved_precision, model.config.model_type, run_kernels=False
    )
    facts = facts_of(point, overrides, (*params, trained), attention)
    reason = out_of_memory(config, facts, model.config)
    tell_failure(reason)
    seconds = time.monotonic() - started
    if folder.writes:
        config.tracking.start(asdict(facts), folder.path)
        folder.begin(facts)
        own = of_attempt(facts, from_step=0)
        folder.end(FAILED, reason, seconds, losses={}, weights_sha256="", throughput={}, of_attempt=own)
        config.tracking.finish(folder.done() or {})
    return Outcome(point.run_id, folder.path, FAILED, reason, {}, seconds)
