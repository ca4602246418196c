"""Evaluation rows <-> flat keys, the form in which a tracker keeps one evaluation.

A tracker takes one mapping of names to numbers a step. All rows of one evaluation are one such mapping: what they
share under its own name (`lr_area`), counts as `tokens_by_corpus/<corpus>`, what differs by domain and split as
`loss_sum/<split>/<domain>`. Nothing is lost: `rows_of(flat(rows))` are the rows, bit by bit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from cptlab.records.run import EvalRow

LABELS = ("run_id", "domain", "split")
OWN = (
    "loss_sum",
    "num_tokens",
    "num_bytes",
    "loss_se",
    "seconds",
    "train_loss_sum",
    "train_num_tokens",
)  # of one domain and split
BY_CORPUS = ("tokens_by_corpus", "unique_tokens_by_corpus", "epochs_by_corpus")
LATER = {"num_params_mean": 0.0}  # shared, kept only where they are something else; older runs do not have them
SHARED = tuple(f.name for f in fields(EvalRow) if f.name not in (*LABELS, *OWN, *BY_CORPUS, *LATER))


def flat(rows: Iterable[EvalRow]) -> dict[str, float]:
    """One mapping for the rows of one step; `loss/<split>/<domain>` [nat/token] beside them, for people to plot."""
    values: dict[str, float] = {}
    for row in (asdict(row) for row in rows):
        end = f"{row['split']}/{row['domain']}"
        values[f"loss/{end}"] = row["loss_sum"] / row["num_tokens"]
        values |= {name: row[name] for name in SHARED}
        values |= {name: row[name] for name, usual in LATER.items() if row[name] != usual}
        values |= {f"{name}/{end}": row[name] for name in OWN}
        values |= {f"{name}/{corpus}": count for name in BY_CORPUS for corpus, count in row[name].items()}
    return values


def rows_of(values: Mapping[str, Any], run_id: str) -> list[dict[str, Any]]:
    """The rows of one step, as evals.jsonl holds them; [] where the mapping holds no evaluation."""
    if any(name not in values for name in SHARED):
        return []
    shared = {name: values[name] for name in SHARED}
    shared |= {name: values.get(name, usual) for name, usual in LATER.items()}
    shared |= {name: _under(values, name) for name in BY_CORPUS}
    ends = [key.split("/", 2)[1:] for key in values if key.startswith("loss_sum/")]
    return [
        {"run_id": run_id, **shared, "domain": domain, "split": split}
        | {name: values.get(f"{name}/{split}/{domain}") for name in OWN}
        for split, domain in ends
    ]


def _under(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key.partition("/")[2]: value for key, value in values.items() if key.startswith(f"{name}/")}
