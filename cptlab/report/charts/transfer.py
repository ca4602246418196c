"""A stream of domains as matrices, and tasks as wins, ties and losses."""

from collections.abc import Sequence

import numpy as np

from cptlab.metrics.measured import Z
from cptlab.metrics.paired import LOSS, TIE, WIN, Verdict, tally
from cptlab.metrics.transfer import Transfer
from cptlab.report.marks import Axis, Chart, Field, Line, Mark, Panel, Points, Rule
from cptlab.report.style import FOUR, MUTED, colours, shorten

LOOK = {WIN: ("#2f8577", "^"), TIE: (MUTED, "o"), LOSS: ("#bf5b17", "v")}


def stream_charts(found: Transfer) -> list[Chart]:
    """What each stage gave to each corpus, and the losses from stage to stage."""
    m = found.matrix
    corpora, stages = list(m.corpora), [f"{t or s}" for s, t in zip(m.stages, m.trained, strict=True)]
    rows = [f"{i}. {name}" for i, name in enumerate(stages)][1:]
    bound = float(np.abs(found.gain).max()) or 1.0
    words = "; ".join(
        f"{rows[s]} to {c} {found.gain[s, j]:+.3f}" for s in range(len(rows)) for j, c in enumerate(corpora)
    )  # fmt: skip
    gain = Panel(
        "Gain of each stage", f"Fall of the loss in each stage [nat/token]: {words}.", Axis("corpus", names=corpora),
        Axis("trained on", names=rows[::-1]),
        [
            Field(
                np.arange(len(corpora), dtype=float), np.arange(len(rows), dtype=float), found.gain[::-1], "gain",
                unit="nat/token", limits=(-bound, bound), symmetric=False,
            )
        ],
    )  # fmt: skip
    marks: list[Mark] = []
    palette = FOUR if len(corpora) <= len(FOUR) else colours(len(corpora))
    for j, (corpus, colour) in enumerate(zip(corpora, palette, strict=False)):
        change = [m.change(s, 0, corpus) for s in range(len(stages))]
        y, error = np.array([one.value for one in change]), Z * np.array([one.se or 0.0 for one in change])
        own = [s for s in m.trained_at(corpus) if s]
        marks.append(Line(np.arange(len(stages), dtype=float), y, corpus, colour, low=y - error, high=y + error))
        if own:
            marks.append(Points(np.array(own, float), y[own], f"{corpus}, trained on", colour, "so^vD"[j % 5], 6))
    over = Panel(
        "Change since the base", f"Loss minus the base's after each stage [nat/token] of {', '.join(corpora)}.",
        Axis("stage", names=[f"{i}. {name}" for i, name in enumerate(stages)]), Axis("loss − base loss", "nat/token"),
        [Rule("y", 0.0, "base", MUTED), *marks],
    )  # fmt: skip
    return [
        Chart(
            "transfer_matrix", "Transfer over the stream",
            "Left: rows are stages, columns corpora; above 0 (orange) the stage lowered that corpus' loss, below 0 "
            "(blue) it raised it. Right: the same, summed up; marks where a corpus was trained on, bands of 95 %.",
            [gain, over],
        )
    ]  # fmt: skip


def task_chart(verdicts: Sequence[Verdict]) -> Chart:
    """Gain of each task with its interval, best on top."""
    ordered = sorted(verdicts, key=lambda one: one.gain)
    marks: list[Mark] = [Rule("x", 0.0, "base", MUTED)]
    for name, (colour, marker) in LOOK.items():
        at = [i for i, one in enumerate(ordered) if one.verdict == name]
        if at:
            gain = np.array([ordered[i].gain for i in at])
            ends = np.array([[ordered[i].gain - ordered[i].low, ordered[i].high - ordered[i].gain] for i in at]).T
            text = [f"{ordered[i].items} items" for i in at]
            marks.append(
                Points(gain, np.array(at, float), name, colour, marker, 6, x_error=ends, text=text, legend=True)
            )  # fmt: skip
    counts = ", ".join(f"{number} {name}" for name, number in tally(verdicts).items())
    level = f"{100 * verdicts[0].level:g} %"
    return Chart(
        "tasks", "Adapted against base, task by task",
        f"Mean gain over the items of a task with its {level} interval (paired bootstrap); a bar across zero is a tie.",
        [
            Panel(
                f"Adapted against base: {counts}", f"Gain of each task, {level} intervals: {counts}.",
                Axis("gain in score, above 0 is better"), Axis("task", names=[shorten(one.task) for one in ordered]),
                marks,
            )
        ],
        columns=1,
    )  # fmt: skip
