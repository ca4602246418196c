"""Runs that start from each other -> the loss of every corpus after every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.errors import UserError
from cptlab.metrics.curves import Curve, RowLosses, curves_of
from cptlab.metrics.diagnostics import Diagnostics, read_diagnostics
from cptlab.metrics.stages import StageMatrix
from cptlab.metrics.tables import stream_lines
from cptlab.metrics.transfer import transfer
from cptlab.records.run_folders import Run, load_run
from cptlab.records.run_source import refuse_different_texts


def stages_of_runs(
    runs: Sequence[Run], split: str = "fit", kept: Sequence[Diagnostics | None] | None = None
) -> StageMatrix:  # fmt: skip
    """The first run's base, then each run's last row. UserError unless each run started from the one before.

    kept: what each run measured beside its losses. Corpora are those that all runs measured.
    """
    for before, after in pairwise(runs):
        if not starts_from(after, before):
            raise UserError(
                f"run {_name(after)} did not start from {_name(before)} (its base is {_base(after)}): a stream is given"
                " in the order in which it was trained"
            )
    refuse_different_texts(list(runs))
    measured = list(kept) if kept else [None] * len(runs)
    curves = [
        curves_of(run, split, more.rows if more and split == "fit" else None)
        for run, more in zip(runs, measured, strict=True)
    ]  # fmt: skip
    corpora = [name for name in curves[0] if all(name in each for each in curves)]
    first = [curves[0][name] for name in corpora]
    if not corpora or not all(curve.has_base for curve in first):
        raise UserError(f"run {_name(runs[0])} has no loss before its first update; the base's loss is stage 0")
    rows = [[curve.at(0) for curve in first], *([each[name].at(-1) for name in corpora] for each in curves)]
    loss = np.array([[one.value for one in row] for row in rows])
    se = np.array([[np.nan if one.se is None else one.se for one in row] for row in rows])
    trained = [base_corpus(runs[0]), *(main_corpus(run, corpora) for run in runs)]
    pairs = {name: joined for name in corpora if (joined := _rows(name, curves))}
    names = [f"base of {_name(runs[0])}", *map(_name, runs)]
    return StageMatrix(names, [t if t in corpora else "" for t in trained], corpora, loss, se, pairs)


def starts_from(after: Run, before: Run) -> bool:
    """Whether the base of one run is the other: by its name, else by the hash of its weights."""
    base: Mapping[str, Any] = after.facts.get("base") or {}
    weights = before.done.get("weights_sha256")
    return base.get("run_id") == before.facts["run_id"] or bool(weights and base.get("weights_sha256") == weights)


def main_corpus(run: Run, corpora: Sequence[str]) -> str:
    """The corpus that a run was about: its domain, else the one of which it drew most."""
    if run.facts.get("domain"):
        return str(run.facts["domain"])
    named = ((run.facts.get("config") or {}).get("mixture") or {}).get("domain")
    if named in corpora:  # as in every stage of `train.py stream=`
        return str(named)
    drawn = run.rows[-1]["tokens_by_corpus"] if run.rows else {}
    general = run.facts.get("general")
    shares = {name: count for name, count in drawn.items() if name in corpora and (name != general or len(drawn) == 1)}
    return max(shares, key=lambda name: shares[name], default="")


def base_corpus(first: Run) -> str:
    """The corpus that the base of a stream was trained on: the general one; "" for random weights."""
    scratch = (first.facts.get("base") or {}).get("kind") == "scratch"
    return "" if scratch else str(first.facts.get("general") or "")


def report_of(folders: Sequence[Path]) -> list[str]:
    """The lines of `cptlab metrics --stream` of these stages, and that command."""
    runs = [load_run(folder) for folder in folders]
    matrix = stages_of_runs(runs, kept=[read_diagnostics(folder) for folder in folders])
    return [*stream_lines(transfer(matrix)), "", f"cptlab metrics --stream {' '.join(map(str, folders))}"]


def _rows(name: str, curves: Sequence[Mapping[str, Curve]]) -> RowLosses | None:
    """Losses of the rows of a corpus by stage; None unless every run kept those of its last row."""
    own = [each[name] for each in curves]
    found = [(curve.rows, int(curve.steps[-1])) for curve in own]
    first = own[0].rows
    if first is None or 0 not in first.steps or any(rows is None or step not in rows.steps for rows, step in found):
        return None
    sums = [first.sums[first.steps.index(0)], *(rows.sums[rows.steps.index(step)] for rows, step in found if rows)]
    if any(rows is not None and not np.array_equal(rows.counts, first.counts) for rows, _ in found):
        return None
    return RowLosses(list(range(len(sums))), np.array(sums), first.counts)


def _name(run: Run) -> str:
    return str(run.facts["run_id"])


def _base(run: Run) -> str:
    base = run.facts.get("base") or {}
    return str(base.get("run_id") or (base.get("weights_sha256") or "")[:12] or base.get("kind", "not known"))
