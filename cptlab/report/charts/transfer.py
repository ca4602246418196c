"""Streams of domains as matrices, and tasks as wins, ties and losses."""

from collections.abc import Sequence

import numpy as np

from cptlab.metrics.chains import Stream
from cptlab.metrics.measured import Measured, Z
from cptlab.metrics.paired import LOSS, TIE, WIN, Verdict, tally
from cptlab.metrics.transfer import Transfer
from cptlab.report.marks import Axis, Chart, Field, Line, Mark, Omitted, Panel, Points, Rule
from cptlab.report.style import FOUR, MUTED, colours, shorten
from cptlab.report.words import number, signed

LOOK = {WIN: ("#2f8577", "^"), TIE: (MUTED, "o"), LOSS: ("#bf5b17", "v")}


TASKS = "Adapted against base, task by task"
STREAMS = "Transfer over a stream of domains"
MOST_STREAMS = 4  # on the page


def streams_charts(streams: Sequence[Stream]) -> list[Chart | Omitted]:
    """A figure a way of training, the first few; what was left out is counted."""
    if not streams:
        return [Omitted(STREAMS, "none of these runs started from another one of them")]
    found: list[Chart | Omitted] = []
    for i, one in enumerate(streams[:MOST_STREAMS]):
        key, way = f"transfer_matrix_{i + 1}" if i else "transfer_matrix", f" ({one.way})" if one.way else ""
        runs = f"Runs {', '.join(one.runs)}, seed {one.seeds[0]}. "
        found += stream_charts(one.found, key, f"Transfer over {one.order}{way}", runs)
    ways, more = len(streams) - MOST_STREAMS, sum(len(one.seeds) - 1 for one in streams[:MOST_STREAMS])
    hidden = [f"{ways} further way{'s' * (ways > 1)} of training"] * (ways > 0)
    hidden += [f"{more} further seed{'s' * (more > 1)} of these"] * (more > 0)
    if hidden:
        why = "the first of each way stand above; cptlab metrics --stream RUN RUN ... draws any other"
        found.append(Omitted(f"Streams: {' and '.join(hidden)}", why))
    return found


def stream_charts(
    found: Transfer, key: str = "transfer_matrix", title: str = "Transfer over the stream", runs: str = ""
) -> list[Chart]:  # fmt: skip
    """What each stage gave to each corpus, the losses from stage to stage, and what was forgotten and carried over."""
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
            key, title,
            f"{runs}First: rows are stages, columns corpora; above 0 (orange) the stage lowered that corpus' loss, "
            "below 0 (blue) it raised it. Second: the same, summed up; marks where a corpus was trained on, bands of "
            "95 %. Third: transfers above 0 lowered the loss, after the corpus' own stage (backward) or before it "
            "(forward); forgetting is of corpora trained on before the last stage. "
            f"Retained {number(found.retained.value)}, learned {number(found.learned.value)} nat/token.",
            [gain, over, _carried(found)], columns=3,
        )
    ]  # fmt: skip


def _carried(found: Transfer) -> Panel:
    """Forgetting, backward and forward transfer of each corpus, and their means."""
    m, names = found.matrix, [*found.matrix.corpora, "mean"]
    forgotten = {c: value for c, value in found.forgetting.items() if any(s < m.last for s in m.trained_at(c))}
    parts: list[tuple[str, dict[str, Measured], Measured, str, str]] = [
        ("forgetting", forgotten, found.forgetting_mean, FOUR[1], "v"),
        ("backward transfer", found.backward, found.backward_mean, FOUR[0], "o"),
        ("forward transfer", found.forward, found.forward_mean, FOUR[2], "D"),
    ]
    marks: list[Mark] = [Rule("x", 0.0, "", MUTED, group="no change")]
    words = []
    for k, (name, values, average, colour, marker) in enumerate(parts):
        known = {c: value for c, value in (values | {"mean": average}).items() if np.isfinite(value.value)}
        at = np.array([len(names) - 1 - names.index(c) + 0.22 * (1 - k) for c in known], float)
        error = np.tile([Z * (value.se or 0.0) for value in known.values()], (2, 1))
        if known:
            x = np.array([value.value for value in known.values()])
            marks.append(Points(x, at, name, colour, marker, 5, x_error=error, text=list(known), legend=True))
        words += [f"{name} of {c} {signed(value.value)}" for c, value in known.items()]
    return Panel(
        "Forgotten and carried over", f"By corpus [nat/token]: {'; '.join(words)}.",
        Axis("change", "nat/token"), Axis("corpus", names=names[::-1], high=len(names) + 0.7), marks,
    )  # fmt: skip


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
        "tasks", TASKS,
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
