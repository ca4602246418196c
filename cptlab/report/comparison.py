"""The law comparison as tables: which laws were tried on the same rows, and why one was taken."""

from collections.abc import Mapping
from typing import Any

from cptlab.report.fit_tables import PROTOCOLS
from cptlab.report.grid import Story
from cptlab.report.words import number, significant

FLAGS = ("is_baseline", "chosen")
ERROR = "rmse_delta"  # [nat/token]
HEADS = {"r2": "R²", "num_parameters": "free parameters", "num_points": "fitted rows", "num_heldout": "held-out rows"}


def comparison(story: Story) -> list[dict[str, Any]]:
    """A block for each comparison: corpus (empty = all), heads, rows, left out laws, why; best errors are marked."""
    blocks = []
    for corpus, compared in story.comparison.items():
        flat = [_flat(row) for row in compared.table()]
        names = list(dict.fromkeys(name for row in flat for name in row if name not in FLAGS))
        best = {
            name: min((row[name] for row in flat if _is_number(row.get(name))), default=None)
            for name in names
            if _is_error(name)
        }
        rows = [
            {
                "chosen": bool(row.get("chosen")),
                "baseline": bool(row.get("is_baseline")),
                "cells": [(_cell(name, row.get(name)), name in best and row.get(name) == best[name]) for name in names],
            }
            for row in flat
        ]
        left_out = [(str(law), str(reason)) for law, reason in dict(compared.left_out or {}).items()]
        heads = [_head(name) for name in names]
        blocks.append({"corpus": corpus, "heads": heads, "rows": rows, "left_out": left_out, "why": str(compared.why)})
    return blocks


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Nested protocols as columns of their own: {rmse_delta: {ratio: x}} -> {rmse_delta ratio: x}."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": item for inner, item in value.items()}
        else:
            flat[str(name)] = value
    return flat


def _is_error(name: str) -> bool:
    return name in PROTOCOLS or name == "standard_error" or name.startswith("rmse")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _head(name: str) -> str:
    if not _is_error(name):
        return HEADS.get(name, name.replace("_", " "))
    if name == "standard_error":
        return "its standard error [mnat/token]"
    if name == ERROR:
        return "all deciding rows [mnat/token]"
    protocol = name.removeprefix(ERROR).removeprefix("rmse").strip(" _")
    return f"{PROTOCOLS.get(protocol, protocol.replace('_', ' '))} [mnat/token]"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if value is None:
        return "–"
    if not _is_number(value):
        return "–" if isinstance(value, float) else str(value)
    if _is_error(name):
        return number(1000 * value, 1)
    return str(value) if isinstance(value, int) else significant(value)
