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
HEADS = ("loss", "perplexity", "bit/byte", "change", "forgetting", "worst", "break even")


def metrics_table(runs: Sequence[RunMetrics]) -> dict[str, Any] | None:
    """A row a run, the largest size first, then by share; None without runs."""
    if not runs:
        return None
    ordered = sorted(runs, key=lambda run: (-run.num_params, new_share(run), run.run_id))
    corpora = list(dict.fromkeys(name for run in ordered for name in run.losses))
    return {
        "corpora": corpora, "heads": HEADS, "more": max(0, len(ordered) - MOST),
        "rows": [
            [
                run.run_id[:12], count(run.num_params), percent(new_share(run)), _plain(run.base_potential),
                *(cell for corpus in corpora for cell in _cells(run, corpus)),
            ]
            for run in ordered[:MOST]
        ],
    }  # fmt: skip


def _cells(run: RunMetrics, corpus: str) -> list[str]:
    if corpus not in run.losses:
        return ["–"] * len(HEADS)
    loss, gap = run.losses[corpus], run.gaps[corpus]
    return [
        _with_error(loss.loss), number(loss.perplexity.value, 1), number(loss.bits_per_byte.value),
        _with_error(loss.change, sign=True), _with_error(loss.forgetting, sign=True), *_gap(gap),
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
