"""Metrics as text: tables in fixed columns, a number behind which stands ± is followed by its standard error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cptlab.metrics.diagnostics import Diagnostics
from cptlab.metrics.measured import Measured
from cptlab.metrics.of_run import RunMetrics
from cptlab.metrics.paired import Verdict, tally
from cptlab.metrics.stability_gap import StabilityGap
from cptlab.metrics.transfer import Transfer

NONE = "–"
HEADS = ("corpus", "share", "loss", "perplexity", "bit/byte", "change", "forgetting", "gap depth", "break even [token]")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells, padded; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def number(value: Measured | None, digits: int = 4, signed: bool = False) -> str:
    """'2.7500 ± 0.1000', a dash where there is none."""
    if value is None or not np.isfinite(value.value):
        return NONE
    text = f"{value.value:{'+' if signed else ''}.{digits}f}"
    return text if value.se is None else f"{text} ± {value.se:.{digits}f}"


def count(tokens: float) -> str:
    """3250.4 -> '3,250'."""
    return f"{tokens:,.0f}"


def of_corpora(run: RunMetrics) -> list[list[str]]:
    """Cells of every corpus of a run, under HEADS."""
    return [
        [
            name, f"{100 * run.shares.get(name, 0):.1f} %", number(loss.loss), number(loss.perplexity, 2),
            number(loss.bits_per_byte), number(loss.change, signed=True), number(loss.forgetting, signed=True),
            *gap_cells(run.gaps[name]),
        ]
        for name, loss in run.losses.items()
    ]  # fmt: skip


def gap_cells(gap: StabilityGap | None) -> tuple[str, str]:
    """Depth, and the tokens after which the loss is back at the base's."""
    if gap is None:
        return NONE, NONE
    if not gap.dipped:
        return "none", NONE
    back = "not yet" if gap.break_even_tokens is None else count(gap.break_even_tokens)
    return number(gap.depth), back


def gap_sentence(gap: StabilityGap) -> str:
    """What happened to a loss after the first update."""
    if not gap.dipped:
        return f"{gap.domain}: never above the base at an evaluation, the first after {count(gap.first_look)} tokens"
    noise = gap.depth.se is not None and not gap.is_clear
    top = f"{gap.domain}: {number(gap.depth)} nat/token above the base at step {gap.bottom_step}"
    top += f", within the noise of {gap.looks} evaluation{'s' * (gap.looks != 1)}" if noise else ""
    if gap.break_even_tokens is None or gap.break_even_between is None:
        end = "still rising at the end" if gap.still_rising else "not back by the end"
        return f"{top}; {end}" + ("" if noise else ": forgetting, no gap")
    low, high = gap.break_even_between
    return (
        f"{top}; back at step {gap.recovery_step}, after about {count(gap.break_even_tokens)} tokens"
        f" (between {count(low)} and {count(high)})"
    )


def run_lines(run: RunMetrics) -> list[str]:
    """One run in full."""
    known = lambda value: "not known" if value is None else f"{value:.3g}"  # noqa: E731
    lines = [
        f"run {run.run_id}, {run.status}: {run.num_params:,.0f} parameters, step {run.step},"
        f" {count(run.tokens)} tokens, split {run.split}",
        f"loss potential [1]: of the base {known(run.base_potential)}, of this run {known(run.potential)}",
        "", *columns([HEADS, *of_corpora(run)]), "", "stability gap [nat/token]",
        *(f"  {gap_sentence(gap) if gap else f'{name}: the base was not measured'}" for name, gap in run.gaps.items()),
    ]  # fmt: skip
    return lines + (diagnostics_lines(run.diagnostics) if run.diagnostics else [])


def diagnostics_lines(found: Diagnostics) -> list[str]:
    """Drift, alignment and kurtosis, as far as they were measured."""
    lines: list[str] = []
    if found.drift:
        drift = found.drift.items()
        rows = [(part, f"{each['relative'].value:.4f}", f"{each['rms'].value:.2e}") for part, each in drift]
        lines += ["", "weight drift", *columns([("part", "|W - base| / |base|", "rms of a weight"), *rows])]
    if found.alignments:
        step, _, last = found.alignments[-1]
        rows = [
            (
                f"{one} -> {other}", f"{last.cosine[i, j]:+.3f} ± {last.cosine_se[i, j]:.3f}",
                f"{last.corrected[i, j]:+.3f}" if np.isfinite(last.corrected[i, j]) else NONE,
                f"{last.influence[i, j]:+.3f}", last.verdict(i, j),
            )
            for i, one in enumerate(last.corpora) for j, other in enumerate(last.corpora) if i != j
        ]  # fmt: skip
        heads = ("trained -> judged", "cosine", "without noise", "influence", "")
        lines += ["", f"gradient alignment at step {step}", *columns([heads, *rows])]
    if found.kurtosis:
        rows = []
        for name, blocks in found.kurtosis.items():
            before = found.base_kurtosis.get(name, [None] * len(blocks))
            pairs = zip(before, blocks, strict=True)
            rows += [(name, str(i), number(b, 2), number(now, 2)) for i, (b, now) in enumerate(pairs)]
        lines += ["", "activation kurtosis (3: Gaussian)", *columns([("corpus", "block", "base", "now"), *rows])]
    return lines


def runs_lines(runs: Sequence[RunMetrics]) -> list[str]:
    """A line a run and corpus, by size and share of the general corpus."""
    runs = sorted(runs, key=lambda run: (run.num_params, -run.shares.get(run.general, 0.0), run.run_id))
    heads = ("run", "parameters", "tokens", *HEADS)
    rows = [
        [run.run_id, f"{run.num_params:,.0f}", count(run.tokens), *cells] for run in runs for cells in of_corpora(run)
    ]
    return columns([heads, *rows])


def stream_lines(found: Transfer) -> list[str]:
    """The losses by stage, what each stage gave, and the summary."""
    m = found.matrix
    both = zip(m.stages, m.trained, strict=True)
    names = [f"{stage} ({trained})" if trained not in ("", stage) else stage for stage, trained in both]
    losses = [[name, *(number(m.at(s, c)) for c in m.corpora)] for s, name in enumerate(names)]
    gains = [
        [name, *(f"{value:+.4f}" + ("" if np.isnan(e) else f" ± {e:.4f}") for value, e in zip(row, error, strict=True))]
        for name, row, error in zip(names[1:], found.gain, found.gain_se, strict=True)
    ]
    each = [
        [c, *(number(values.get(c), signed=True) for values in (found.forgetting, found.backward, found.forward))]
        for c in m.corpora
    ]
    means = (found.forgetting_mean, found.backward_mean, found.forward_mean)
    total = ["mean", *(number(value, signed=True) for value in means)]
    return [
        "loss [nat/token] after each stage", *columns([["stage", *m.corpora], *losses]), "",
        "gain [nat/token] by each stage: above 0, the loss fell", *columns([["stage", *m.corpora], *gains]), "",
        *columns([["corpus", "forgetting", "backward transfer", "forward transfer"], *each, total]), "",
        f"retained {number(found.retained)}, learned {number(found.learned)} nat/token",
    ]  # fmt: skip


def tasks_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """A line a task and the tally."""
    rows = [
        (
            one.task + ("" if one.higher_is_better else " (lower is better)"), str(one.items), f"{one.base:.4f}",
            f"{one.adapted:.4f}", f"{one.gain:+.4f} ± {one.gain_se:.4f}", f"[{one.low:+.4f}, {one.high:+.4f}]",
            f"{one.p:.2g}", one.verdict,
        )
        for one in verdicts
    ]  # fmt: skip
    level = f"{100 * verdicts[0].level:g} % interval"
    counts = ", ".join(f"{number} {name}" for name, number in tally(verdicts).items())
    expected = (1 - verdicts[0].level) * len(verdicts)
    heads = ("task", "items", "base", "adapted", "gain", level, "p", "verdict")
    note = f"{counts}; without any difference about {expected:.2g} of {len(verdicts)} would still not tie"
    return [*columns([heads, *rows]), "", note]
