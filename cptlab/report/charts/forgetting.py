"""What a run did to the base: the stability gap, drift of its weights, alignment of gradients, kurtosis."""

from collections.abc import Sequence

import numpy as np

from cptlab.metrics.alignment import Alignment
from cptlab.metrics.curves import Curve
from cptlab.metrics.measured import Z
from cptlab.metrics.of_run import RunMetrics
from cptlab.report.charts.parts import DELTA, base_rule
from cptlab.report.grid import Array
from cptlab.report.marks import Axis, Chart, Field, Line, Mark, Omitted, Panel, Points, Rule
from cptlab.report.style import CHOICE, INK, MUTED, SHARES, colours, count, percent, shorten

GAP, DRIFT = "The stability gap: change since the first update", "How far the weights moved"
ALIGNED, KURTOSIS = "Do the corpora pull the same way?", "Outlying features"
MOST_RUNS, MOST_CORPORA = 6, 4


def run_charts(runs: Sequence[RunMetrics]) -> list[Chart | Omitted]:
    """Of runs of any sizes; those of the largest size are drawn."""
    drawn = chosen(runs)
    return [gap_chart(drawn), drift_chart(drawn), alignment_chart(drawn), kurtosis_chart(drawn)]


def chosen(runs: Sequence[RunMetrics]) -> list[RunMetrics]:
    """Runs of the largest size, the first of each share, at most six spread evenly over the shares."""
    largest = max(run.num_params for run in runs)
    by_share: dict[float, RunMetrics] = {}
    for run in runs:
        if run.num_params == largest:
            by_share.setdefault(round(new_share(run), 2), run)
    shares = sorted(by_share)
    kept = np.unique(np.linspace(0, len(shares) - 1, min(len(shares), MOST_RUNS)).round().astype(int))
    return [by_share[shares[i]] for i in kept]


def new_share(run: RunMetrics) -> float:
    """Share of the text that is not of the general corpus."""
    return 1 - run.shares.get(run.general, 0.0)


def names_of(runs: Sequence[RunMetrics]) -> list[str]:
    """By the share of new text."""
    return [percent(new_share(run)) for run in runs] if len(runs) > 1 else ["this run"] * len(runs)


def painted(runs: Sequence[RunMetrics]) -> list[tuple[RunMetrics, str, str]]:
    """(run, name, colour), darker for more new text."""
    return list(zip(runs, names_of(runs), colours(len(runs), SHARES), strict=True))


def gap_chart(runs: Sequence[RunMetrics]) -> Chart | Omitted:
    """Loss minus base loss from the first evaluation on, with where it was worst and where it came back."""
    corpora = [c for c in dict.fromkeys(name for run in runs for name in run.curves)][:MOST_CORPORA]
    panels = []
    for corpus in corpora:
        marks: list[Mark] = [base_rule()]
        words = []
        bottoms, backs = list[tuple[float, float]](), list[tuple[float, float]]()
        for run, name, colour in painted(runs):
            curve = run.curves.get(corpus)
            gap = run.gaps.get(corpus)
            if curve is None or gap is None:
                continue
            marks.append(_change_line(curve, name, colour))
            if gap.dipped and gap.bottom_tokens is not None:
                bottoms.append((gap.bottom_tokens, gap.depth.value))
                words.append(f"{name} {gap.depth.value:+.3f}")
            if gap.break_even_tokens is not None:
                backs.append((gap.break_even_tokens, 0.0))
        for at, name, marker in ((bottoms, "worst", "v"), (backs, "back at the base", "D")):
            if at:
                where = np.array(at).T
                marks.append(Points(where[0], where[1], name, CHOICE, marker, 5, hollow=True, legend=True))
        if len(marks) > 1:
            told = f"Worst: {', '.join(words)} nat/token." if words else "No loss rose above the base's."
            panels.append(
                Panel(
                    f"{shorten(corpus)}: change since the first update",
                    f"Loss minus base loss on {corpus} [nat/token] against tokens, a line a run. {told}",
                    Axis("CPT tokens", log=True, counts=True), DELTA, marks,
                )
            )  # fmt: skip
    if not panels:
        return Omitted(GAP, "no run was measured before its first update and after it")
    size = f", {count(runs[0].num_params)} parameters"
    return Chart(
        "stability_gap", GAP + size,
        "A line that rises above zero and comes back is a gap, one that stays above is forgetting; a dip between two "
        "evaluations, or before the first, is not seen. Darker: more new text. Bands hold 95 % intervals, of runs that "
        "kept the losses of their rows (diagnostics.row_losses=true).",
        panels,
    )  # fmt: skip


def _change_line(curve: Curve, name: str, colour: str) -> Line:
    """Loss minus base loss after the first row; a band where rows are paired: without pairs it would be too wide."""
    changes = [curve.change(i) for i in range(1, len(curve.loss))]
    x, y = curve.tokens[1:], np.array([one.value for one in changes])
    if curve.rows is None:
        return Line(x, y, name, colour)
    return Line(
        x, y, name, colour, low=np.array([one.low for one in changes]), high=np.array([one.high for one in changes])
    )


def drift_chart(runs: Sequence[RunMetrics]) -> Chart | Omitted:
    """Relative change of the weights by part of the model."""
    marks: list[Mark] = []
    parts: list[str] = []
    words = []
    for run, name, colour in painted(runs):
        drift = run.diagnostics.drift if run.diagnostics else {}
        if not drift:
            continue
        parts = parts or _in_order(list(drift))
        y = np.array([drift[part]["relative"].value if part in drift else np.nan for part in parts])
        x = np.arange(len(parts), dtype=float)
        marks += [Line(x, y, name, colour, width=1.0, group=name), Points(x, y, name, colour)]
        words.append(f"{name} {drift['all']['relative'].value:.3f}")
    if not marks:
        return Omitted(DRIFT, "no run measured it (diagnostics.weight_drift=true)")
    return Chart(
        "weight_drift", DRIFT,
        "Frobenius norm of the change since the base over that of the base's weights, part by part: where it is large, "
        "the base's knowledge has been written over most.",
        [
            Panel(
                "Drift by part", f"Relative weight drift by part of the model, all parts together: {', '.join(words)}.",
                Axis("part (blocks by number)", names=_labels(parts)), Axis("change over base", "1", low=0.0), marks,
            )
        ],
        columns=1,
    )  # fmt: skip


def _in_order(parts: list[str]) -> list[str]:
    """From the input to the output, the whole last."""
    blocks = sorted((part for part in parts if part.startswith("block ")), key=lambda part: int(part.split()[1]))
    named = [part for part in ("embeddings", *blocks, "head", "other", "all") if part in parts]
    return named + [part for part in parts if part not in named]


def _labels(parts: list[str]) -> list[str]:
    """Short names; of many blocks every fourth."""
    every = 1 if len(parts) <= 16 else 4
    short = [part.removeprefix("block ").replace("embeddings", "embed") for part in parts]
    return ["" if name.isdigit() and int(name) % every else name for name in short]


def alignment_chart(runs: Sequence[RunMetrics]) -> Chart | Omitted:
    """Cosines between the corpora's gradients: over the run, and as a matrix at its end."""
    measured = [run for run in runs if run.diagnostics and run.diagnostics.alignments]
    measured = [run for run in measured if run.diagnostics and len(run.diagnostics.alignments[-1][2].corpora) > 1]
    if not measured:
        return Omitted(ALIGNED, "no run measured the gradients of two corpora (diagnostics.gradient_alignment=true)")
    one = measured[len(measured) // 2]
    assert one.diagnostics is not None
    (step, _, last), name = one.diagnostics.alignments[-1], names_of(runs)[list(runs).index(one)]
    return Chart(
        "gradient_alignment", ALIGNED,
        "Below zero a step on one corpus raises the loss of the other, to first order. Bands are 95 % intervals from "
        "two halves of the rows; the matrix is of one run at its end, rows trained on, columns judged: influence is "
        "what a step gains on the judged corpus, over what that corpus' own step would.",
        [_cosines(runs), _matrix(last, step, name)],
    )  # fmt: skip


def _cosines(runs: Sequence[RunMetrics]) -> Panel:
    marks: list[Mark] = [Rule("y", 0.0, "unrelated", MUTED)]
    pair = ""
    for run, name, colour in painted(runs):
        found = [each for each in (run.diagnostics.alignments if run.diagnostics else []) if each[1] > 0]
        if not found:
            continue
        i, j = _pair(found[-1][2], run.general)
        pair = f"{found[-1][2].corpora[i]} and {found[-1][2].corpora[j]}"
        y = np.array([a.cosine[i, j] for _, _, a in found])
        error = Z * np.array([a.cosine_se[i, j] for _, _, a in found])
        x = np.array([tokens for _, tokens, _ in found])
        marks.append(Line(x, y, name, colour, low=y - error, high=y + error))
    return Panel(
        f"{shorten(pair, 36)}: cosine", f"Cosine of the gradients of {pair} against tokens, a line a run.",
        Axis("CPT tokens", log=True, counts=True), Axis("cosine of gradients", "1"), marks,
    )  # fmt: skip


def _pair(found: Alignment, general: str) -> tuple[int, int]:
    """The general corpus and the first other one."""
    corpora = list(found.corpora)
    i = corpora.index(general) if general in corpora else 0
    return i, next(j for j in range(len(corpora)) if j != i)


def _matrix(found: Alignment, step: int, run: str) -> Panel:
    names, k = list(found.corpora), np.arange(len(found.corpora), dtype=float)
    words = "; ".join(
        f"{names[i]} to {names[j]} {found.influence[i, j]:+.2f}"
        for i in range(len(names)) for j in range(len(names)) if i != j
    )  # fmt: skip
    bound = float(max(1.0, np.abs(found.influence).max()))
    return Panel(
        f"{shorten(run, 20)}: influence at step {step}", f"Influence at step {step}, {run}: {words}.",
        Axis("judged", names=names), Axis("trained on", names=names[::-1]),
        [Field(k, k, found.influence[::-1], "influence", limits=(-bound, bound), symmetric=False)],
    )  # fmt: skip


def kurtosis_chart(runs: Sequence[RunMetrics]) -> Chart | Omitted:
    """Kurtosis after each block, before the first update and at the end."""
    panels = []
    for corpus in list(dict.fromkeys(name for run in runs for name in run.curves))[:MOST_CORPORA]:
        marks: list[Mark] = []
        depth = 0
        for run, name, colour in painted(runs):
            now = run.diagnostics.kurtosis.get(corpus, []) if run.diagnostics else []
            before = run.diagnostics.base_kurtosis.get(corpus, []) if run.diagnostics else []
            if before and not marks:
                marks.append(Line(_places(before), _values(before), "base", INK, dash=True))
            depth = max(depth, len(now))
            if now:
                y, error = _values(now), Z * np.array([one.se or 0.0 for one in now])
                marks.append(Line(_places(now), y, name, colour, low=y - error, high=y + error))
        if marks:
            panels.append(
                Panel(
                    f"{shorten(corpus)}: kurtosis by block",
                    f"Kurtosis of the features of a token after each block on {corpus}; 3 is a Gaussian's.",
                    Axis("block", names=_labels([str(i) for i in range(depth)])), Axis("kurtosis", "1"),
                    [Rule("y", 3.0, "Gaussian", MUTED), *marks],
                )
            )  # fmt: skip
    if not panels:
        return Omitted(KURTOSIS, "no run measured it (diagnostics.activation_kurtosis=true)")
    return Chart(
        "activation_kurtosis", KURTOSIS,
        "High where few features carry most of a token's activation: such models lose more to low precision.",
        panels,
    )  # fmt: skip


def _places(values: list) -> Array:
    return np.arange(len(values), dtype=float)


def _values(values: list) -> Array:
    return np.array([one.value for one in values])
