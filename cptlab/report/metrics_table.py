"""What the runs gained and lost, run by run: strings for the template."""

from collections.abc import Sequence
from typing import Any

from cptlab.metrics.measured import Measured
from cptlab.metrics.of_run import RunMetrics
from cptlab.metrics.stability_gap import StabilityGap
from cptlab.report.charts.forgetting import new_share
from cptlab.report.style import count, percent
from cptlab.report.words import number, signed

MOST = 60  # runs on the page
OF_RUN = ("run", "size", "new text", "base's potential")
HEADS = (*OF_RUN, "corpus", "loss", "change", "forgetting", "worst", "break even", "bit/byte", "perplexity")


def metrics_table(runs: Sequence[RunMetrics]) -> dict[str, Any] | None:
    """A row a run and corpus, the largest size first, then by share; None without runs."""
    if not runs:
        return None
    ordered = sorted(runs, key=lambda run: (-run.num_params, new_share(run), run.run_id))
    rows = []
    for run in ordered[:MOST]:
        own = [run.run_id[:12], count(run.num_params), percent(new_share(run)), _plain(run.base_potential)]
        for corpus in run.losses:
            rows.append([*own, corpus, *_cells(run, corpus)])
            own = [""] * len(own)
    return {"heads": HEADS, "rows": rows, "more": max(0, len(ordered) - MOST)}


def _cells(run: RunMetrics, corpus: str) -> list[str]:
    loss, gap = run.losses[corpus], run.gaps[corpus]
    return [
        _with_error(loss.loss), _with_error(loss.change, sign=True), _with_error(loss.forgetting, sign=True),
        *_gap(gap), number(loss.bits_per_byte.value), number(loss.perplexity.value, 1),
    ]  # fmt: skip


def _gap(gap: StabilityGap | None) -> tuple[str, str]:
    if gap is None:
        return "–", "–"
    if not gap.dipped:
        return "never worse", "–"
    where = f"{signed(gap.depth.value)} at {count(gap.bottom_tokens or 0)}"
    return where, "not yet" if gap.break_even_tokens is None else count(gap.break_even_tokens)


def _with_error(value: Measured | None, sign: bool = False) -> str:
    if value is None:
        return "–"
    text = (signed if sign else number)(value.value)
    return text if value.se is None else f"{text} ± {number(value.se)}"


def _plain(value: float | None) -> str:
    return "not known" if value is None else number(value, 2)
