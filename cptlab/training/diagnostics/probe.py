"""What the recorder asks at each evaluation where `diagnostics.*` is on; one line of <run>/diagnostics.jsonl each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cptlab.training.adaptive_mixture import append_line, read_decisions
from cptlab.training.build import build_whole
from cptlab.training.diagnostics.drift import BaseWeights
from cptlab.training.diagnostics.gradients import gram, half_gradients
from cptlab.training.diagnostics.kurtosis import block_kurtosis
from cptlab.training.evaluate import Measurement

if TYPE_CHECKING:
    from cptlab.training.diagnostics.settings import Diagnostics
    from cptlab.training.module import CPTModule
    from cptlab.training.point import Point
    from cptlab.training.recorder import Recorder

NAME = "diagnostics.jsonl"


def probe_of(point: Point, recorder: Recorder) -> Probe | None:
    """None where nothing is to be measured."""
    settings = point.config.diagnostics
    if not settings.any:
        return None
    return Probe(settings, recorder, BaseWeights(lambda: build_whole(point), recorder.folder.writes))


class Probe:
    """Every process measures, the first one writes."""

    def __init__(self, settings: Diagnostics, recorder: Recorder, base: BaseWeights) -> None:
        self.settings, self.recorder, self.base = settings, recorder, base
        self.file = recorder.folder.path / NAME
        self.rows: dict[str, Any] = {}
        read_decisions(self.file, mend=recorder.folder.writes)  # a line that a crash cut

    def saw(self, domain: str, split: str, measured: Measurement) -> None:
        """The losses of single rows, which an evaluation has at hand."""
        if self.settings.row_losses and split == "fit":
            self.rows[domain] = {"sums": measured.row_sums.tolist(), "counts": measured.row_counts.tolist()}

    def record(self, module: CPTModule, step: int) -> None:
        """Measure and append a line."""
        settings, recorder = self.settings, self.recorder
        line: dict[str, Any] = {
            "step": step, "attempt": recorder.folder.attempt, "tokens_seen": recorder.stream.tokens_seen(step),
        }  # fmt: skip
        if settings.row_losses:
            line["row_losses"] = self.rows
        if settings.weight_drift:
            line["weight_drift"] = self.base.drift(module.network.inner[0])
        batches = {domain: batch for (domain, split), batch in recorder.batches.items() if split == "fit"}
        if settings.gradient_alignment:
            halves = [
                half
                for batch in batches.values()
                for half in half_gradients(module, batch, settings.rows, recorder.batch_rows)
            ]
            line["gradients"] = {"corpora": list(batches), "gram": gram(halves).tolist()}
        if settings.activation_kurtosis:
            line["kurtosis"] = {
                domain: block_kurtosis(module, batch, settings.rows, recorder.batch_rows)
                for domain, batch in batches.items()
            }
        append_line(recorder.folder, self.file, line)
