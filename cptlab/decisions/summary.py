"""A recommendation and its fits as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from cptlab.decisions.recommendation import Recommendation

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

WIDTH = 100
MOST_ROWS = 12
BY_RULE = ("rows inside warm-up", "rows before the valid interval", "rows before the end")
BASELINES = ("nearest_run", "quadratic")


def summary(
    fits: Mapping[str, Fit],
    answer: Recommendation,
    rule: str,
    left_out: Mapping[str, int],
    commands: Sequence[str],
) -> list[str]:
    """What was read and left out, how well it fits, the answer and what it rests on.

    rule: sentence of the valid interval. commands: of the next runs.
    """
    lines: list[str] = []
    for label, text in [
        *_read(fits, rule, left_out),
        *(line for name, fit in fits.items() for line in _fit(name, fit)),
        *_answer(answer, commands),
    ]:
        rows = wrap(text, WIDTH - 14, break_long_words=False, break_on_hyphens=False) or [""]
        if label in ("command", "first"):
            rows = [text]  # a command is copied: one line
        lines += [f"{label if not i else '':<13} {row}" for i, row in enumerate(rows)]
    return lines


def _read(fits: Mapping[str, Fit], rule: str, left_out: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    one = next(iter(fits.values()))
    rows = sum(fit.num_points for fit in fits.values())
    yield "read", f"{rows} rows of {one.num_runs} runs, {one.observations.origin}"
    if rule:
        yield "valid rows", rule
    dropped = sum(count for reason, count in left_out.items() if reason.startswith(BY_RULE))
    if dropped:
        yield "", f"(that leaves out {dropped / (dropped + rows):.0%} of the rows after the first update)"
    for reason, count in left_out.items():
        yield "left out", f"{count} {reason}" if reason.startswith("rows") else f"{reason}: {count} rows"


def _fit(name: str, fit: Fit) -> Iterator[tuple[str, str]]:
    noise = "not measured" if fit.seed_noise is None else f"{fit.seed_noise:.3g} nat"
    yield name, f"law {fit.law_name}, R2 {fit.r2:.4f} over {fit.num_points} rows, seed noise {noise}"
    for protocol, held in fit.heldout.items():
        others = ", ".join(
            f"{baseline.replace('_', ' ')} {fit.baselines[baseline][protocol].rmse:.3g}"
            for baseline in BASELINES
            if protocol in fit.baselines.get(baseline, {})
        )
        yield "", f"held-out {protocol.replace('_', ' ')}: RMSE {held.rmse:.3g} nat (baselines: {others})"
    for sentence in fit.identifiability.sentences:
        yield "", sentence


def _chosen(answer: Recommendation, name: str) -> str:
    """A chosen value with its interval."""
    value, ends = answer.choice[name], answer.interval.get(name)
    if isinstance(value, str):
        return value
    digits = ".3f" if name.endswith("share") or name.startswith("share_") else ".4g"
    interval = "" if ends is None else f" [{ends[0]:{digits}}, {ends[1]:{digits}}] at {answer.level:.0%}"
    return f"{value:{digits}}{interval}"


def _rows(table: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each row of an answer's table, the first ones."""
    for row in table[:MOST_ROWS]:
        parts = []
        for name, value in row.items():
            if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in row:
                continue
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            ends = (row.get(f"{name}_low"), row.get(f"{name}_high"))
            interval = f" [{ends[0]:.4f}, {ends[1]:.4f}]" if ends[0] is not None else ""
            parts.append(f"{name} {value:.4f}{interval}" if interval else f"{name} {text}")
        yield ", ".join(parts)
    if len(table) > MOST_ROWS:
        yield f"and {len(table) - MOST_ROWS} rows more in recommendation.json"


def _answer(answer: Recommendation, commands: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield "verdict", f"{answer.verdict.replace('_', ' ')}: {answer.because}"
    if answer.choice:
        chosen = [k for k, v in answer.choice.items() if k in answer.interval or isinstance(v, str)]
        chosen = ["domain_share"] * ("domain_share" in answer.choice and "domain_share" not in chosen) + chosen
        where = ", ".join(f"{k} {v:.6g}" for k, v in answer.choice.items() if k not in chosen)
        for i, name in enumerate(chosen):
            end = f", for {where}" if where and i == len(chosen) - 1 else ""
            yield name.replace("_", " "), _chosen(answer, name) + end
    yield from (("", line) for line in _rows(answer.table))
    for name, (low, mid, high) in answer.predicted.items():
        base = answer.base_loss.get(name)
        change = "" if base is None else f", {mid / base - 1:+.2%} against the base's {base:.4f}"
        yield f"loss {name}"[:13], f"{mid:.4f} [{low:.4f}, {high:.4f}] nat/token{change}"
    if answer.binding:
        yield "binding", answer.binding
    for sentence in answer.extrapolation:
        yield "extrapolates", sentence
    for command in commands:
        yield "first", command
    if not commands and answer.verdict != "run":
        for run in answer.next_runs:
            yield (
                "first",
                "measure "
                + ", ".join(
                    f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in run.items()
                ),
            )
    if answer.command:
        yield "command", answer.command
