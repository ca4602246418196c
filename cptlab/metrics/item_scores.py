"""Scores of single items, of one model: `task -> item -> score`, from lm_eval's samples or from any table.

lm_eval writes `samples_<task>_<time>.jsonl` with `--log_samples`: one JSON object an item and filter, the names of its
metrics under `metrics`. Under `perplexity` an item has its log-likelihood there, of which higher is better. Any other
.csv, .tsv, .jsonl or .parquet needs the columns `item` and `score`, and `task` where it holds several.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cptlab.errors import UserError, closest
from cptlab.records.table import SUFFIXES, Table

Scores = dict[str, dict[str, float]]
SAMPLES = re.compile(r"samples_(.+?)(?:_\d{4}-\d{2}-\d{2}T[\d\-.:]+)?\.jsonl$")
LOWER = re.compile(r"loss|error|brier|(?:^|_)(?:wer|ter|cer|mse|mae)(?:$|_)")


def read_scores(path: Path, metric: str = "") -> tuple[Scores, set[str]]:
    """(scores, tasks of which lower is better) of a file or of a folder of lm_eval's samples (the newest of each task).

    metric: which of lm_eval's, perhaps with its filter (`exact_match,strict-match`); "" = the first of each task.
    UserError names file and line.
    """
    if path.is_dir():
        files = sorted(path.rglob("samples_*.jsonl"), key=lambda file: file.name)
        if not files:
            raise UserError(f"{path} holds no samples_*.jsonl; run lm_eval with --log_samples, or give a table")
        newest = {_task(file): file for file in files}  # names end in the time, so the last is the newest
        found: Scores = {}
        lower: set[str] = set()
        for task, file in newest.items():
            found[task], used = _samples(file, metric)
            lower |= {task} if LOWER.search(used) else set()
        return found, lower
    if not path.is_file() or path.suffix not in SUFFIXES:
        raise UserError(f"{path} is no file of scores; give a {', '.join(SUFFIXES)} or a folder of lm_eval's samples")
    if path.suffix == ".jsonl" and _is_samples(path):
        scores, used = _samples(path, metric)
        return {_task(path): scores}, {_task(path)} if LOWER.search(used) else set()
    return _table(path), set()


def same_items(base: Scores, adapted: Scores) -> None:
    """UserError unless both hold the same items of the same tasks."""
    if lacking := sorted(set(base) ^ set(adapted)):
        side = "base" if lacking[0] in adapted else "adapted"
        raise UserError(
            f"task {lacking[0]} is missing from the {side} scores; both models must answer the same tasks"
            f" ({len(set(base) & set(adapted))} are in both)"
        )
    for task, scores in base.items():
        if lacking := sorted(set(scores) ^ set(adapted[task])):
            side = "base" if lacking[0] in adapted[task] else "adapted"
            raise UserError(
                f"task {task}: item {lacking[0]} is missing from the {side} scores ({len(scores)} items of the base,"
                f" {len(adapted[task])} adapted); evaluate both on the same items"
            )


def _task(file: Path) -> str:
    named = SAMPLES.search(file.name)
    return named[1] if named else file.stem


def _is_samples(path: Path) -> bool:
    with path.open(encoding="utf8") as handle:
        line = handle.readline()
    try:
        first = json.loads(line) if line.strip() else None
    except json.JSONDecodeError:
        return False
    return isinstance(first, dict) and "doc_id" in first


def _samples(file: Path, metric: str) -> tuple[dict[str, float], str]:
    """(item -> score, the metric used) of one file of lm_eval; of several filters the one named, else the first."""
    scores: dict[str, float] = {}
    used, _, chosen = metric.partition(",")
    filters: list[str] = []
    for where, sample in _lines(file):
        filters.append(str(sample.get("filter", "none")))
        chosen = chosen or filters[0]
        if filters[-1] != chosen:
            continue
        known = sample.get("metrics") or [k for k, v in sample.items() if isinstance(v, int | float) and k != "doc_id"]
        used = used or next(iter(known), "")
        if used not in sample or used not in known:
            raise UserError(f"{where} has no metric {used!r}.{closest(used, known)}")
        item, value = str(sample["doc_id"]), sample[used]
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise UserError(f"{where}: {used} is {value!r}, no number; choose a metric of single items with --metric")
        if item in scores:
            raise UserError(f"{where} repeats item {item}")
        scores[item] = float(value)
    if not scores:
        raise UserError(f"{file} has no {f'filter {chosen!r}.{closest(chosen, filters)}' if filters else 'items'}")
    return scores, used


def _lines(file: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(file.read_text("utf8").splitlines(), 1):
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{file}: line {number} is no JSON ({error.msg})") from error
        if not isinstance(content, dict) or "doc_id" not in content:
            raise UserError(f"{file}: line {number} is no sample of lm_eval (no doc_id)")
        yield f"{file}: line {number}", content


def _table(path: Path) -> Scores:
    table = Table(str(path))
    items, texts = table.text("item"), table.text("score")
    tasks = table.text("task").tolist() if "task" in table.names else [path.stem] * len(table)
    found: Scores = {}
    for row, (task, item, text) in enumerate(zip(tasks, items.tolist(), texts.tolist(), strict=True)):
        try:
            value = {"true": 1.0, "false": 0.0}.get(text.lower(), math.nan) if text.isalpha() else float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{table.where(row)}, column score: {text!r} is no number")
        if item in found.setdefault(task, {}):
            raise UserError(f"{table.where(row)} repeats item {item} of task {task}")
        found[task][item] = value
    return found
