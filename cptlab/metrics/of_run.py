"""Everything that the record of one run says about gain and loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cptlab.metrics.curves import Curve, curves_of
from cptlab.metrics.diagnostics import Diagnostics, read_diagnostics
from cptlab.metrics.losses import CorpusLoss, corpus_loss
from cptlab.metrics.potential import potential_of_base, potential_of_run
from cptlab.metrics.stability_gap import StabilityGap, stability_gap
from cptlab.records.run_folders import Run


@dataclass(frozen=True)
class RunMetrics:
    """One run: by corpus its curve, its last loss and its stability gap (None without a base loss).

    status: of done.json, `unfinished` before there is one. potential, base_potential: None where not known.
    """

    run_id: str
    status: str
    split: str
    num_params: float
    step: int
    tokens: float
    general: str
    shares: dict[str, float]  # of the tokens drawn so far, by corpus
    curves: dict[str, Curve]
    losses: dict[str, CorpusLoss]
    gaps: dict[str, StabilityGap | None]
    potential: float | None
    base_potential: float | None
    diagnostics: Diagnostics | None

    def to_json(self) -> dict[str, Any]:
        """Every number with its unit."""
        alignments = self.diagnostics.alignments if self.diagnostics else []
        parts = self.diagnostics.drift if self.diagnostics else {}
        bumps = self.diagnostics.kurtosis if self.diagnostics else {}
        corpora = {
            name: loss.to_json()
            | {"share": self.shares.get(name), "stability_gap": gap.to_json() if (gap := self.gaps[name]) else None}
            for name, loss in self.losses.items()
        }
        return {
            "run": self.run_id, "status": self.status, "split": self.split, "num_params": self.num_params,
            "step": self.step, "tokens": self.tokens, "corpora": corpora,
            "loss_potential": {"run": self.potential, "base": self.base_potential, "unit": "1"},
            "weight_drift": {p: {k: v.to_json() for k, v in each.items()} for p, each in parts.items()} or None,
            "gradient_alignment": [{"step": s, "tokens": t} | a.to_json() for s, t, a in alignments] or None,
            "activation_kurtosis": {c: [v.to_json() for v in each] for c, each in bumps.items()} or None,
        }  # fmt: skip


def metrics_of(run: Run, split: str = "fit", base_history: Mapping[str, Any] | None = None) -> RunMetrics:
    """From the record alone. UserError where it holds no row of the split.

    base_history: LR history of the base where the record has none.
    """
    facts: Mapping[str, Any] = run.facts
    kept = read_diagnostics(run.folder) if isinstance(run.folder, Path) else None
    curves = curves_of(run, split, kept.rows if kept and split == "fit" else None)
    last = max((row for row in run.rows if row["split"] == split), key=lambda row: row["step"])
    drawn = last["tokens_by_corpus"]
    return RunMetrics(
        str(facts["run_id"]), str(run.done.get("status", "unfinished")), split, float(facts["num_params_nonembed"]),
        int(last["step"]), float(last["tokens_seen"]), str(facts.get("general") or ""),
        {name: count / (sum(drawn.values()) or 1) for name, count in drawn.items()},
        curves, {name: corpus_loss(curve) for name, curve in curves.items()},
        {name: stability_gap(curve) for name, curve in curves.items()},
        potential_of_run(facts), potential_of_base(facts.get("base") or {}, base_history), kept,
    )  # fmt: skip
