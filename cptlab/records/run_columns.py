"""Run records -> columns: one evaluation row under the names of `cptlab.units`, whatever kept the record."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cptlab.records.base_areas import base_areas
from cptlab.records.observations import Observations
from cptlab.records.run_folders import Run
from cptlab.schedules.area import anneal_area, learning_rates, lr_drops
from cptlab.schedules.history import schedule_of
from cptlab.variants import discover_group

TEXT = ("run", "domain", "split", "base")
DECAY = 0.999  # lambda of the annealing area in a record


def columns_of(
    run: Run, rows: list[dict[str, Any]], curves: bool = False, decay: float = DECAY,
    base_history: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Columns of some rows of a run; shares are achieved counts, the base loss is the row's at step 0.

    curves: with the columns that matter only where the LR of some run decays, `lr_settled` and `lr_drop_*`.
    decay: lambda of the annealing areas. base_history: LR history of the base where the record has none.
    """
    base = {(r["domain"], r["split"]): r["loss_sum"] / r["num_tokens"] for r in run.rows if not r["step"]}
    areas = base_areas(run.facts["base"], decay, base_history)
    table = [_columns(run.facts, row, base[row["domain"], row["split"]]) | areas for row in rows]
    if decay != DECAY:
        annealed = anneal_area(_rates(run.facts), decay)
        table = [columns | {"anneal_area": float(annealed[int(columns["step"]) - 1])} for columns in table]
    if not curves:
        return table
    drops = _drops(run.facts, [row["step"] for row in rows])
    last = max(row["tokens_seen"] for row in run.rows)
    settled = run.facts["lr_is_constant_after_warmup"]
    return [
        columns
        | {"lr_settled": float(settled or row["tokens_seen"] == last)}
        | {name: values[i] for name, values in drops.items()}
        for i, (columns, row) in enumerate(zip(table, rows, strict=True))
    ]


def _columns(facts: Mapping[str, Any], row: Mapping[str, Any], base_loss: float) -> dict[str, Any]:
    tokens, by_corpus, domain = row["tokens_seen"], row["tokens_by_corpus"], row["domain"]
    total = sum(by_corpus.values()) or 1
    share = {name: count / total for name, count in by_corpus.items()}
    base, mean = facts["base"], row.get("num_params_mean")  # 0 or absent: dense
    columns = {
        "loss": row["loss_sum"] / row["num_tokens"],
        "loss_se": row.get("loss_se"),
        "base_loss": base_loss,
        "bytes_per_token": row["num_bytes"] / row["num_tokens"],
        "num_params": facts["num_params_nonembed"],
        "tokens": tokens,
        "step": row["step"],
        "tokens_per_step": facts["tokens_per_step"],
        "seed": facts["seed"],
        "peak_lr": facts.get("peak_lr"),
        "lr_area": row.get("lr_area"),
        "anneal_area": row.get("anneal_area"),
        "share": share.get(domain, 0.0),
        "domain_share": share.get(facts["domain"], 0.0) if facts.get("domain") else None,
        "general_share": share.get(facts["general"], 0.0) if facts.get("general") else None,
        "replay_share": row.get("replay_tokens", 0) / tokens,
        "from_scratch": 0.0,
        "flops": 6.0 * (mean or facts["num_params_nonembed"]) * tokens,  # C = 6 N D, the convention of the laws
        **({"num_params_mean": mean} if mean else {}),
        "unique_tokens": row.get("unique_tokens_by_corpus", {}).get(domain),
        **{f"share_{name}": value for name, value in share.items()},
    }
    identity = str(base.get("run_id") or base.get("weights_sha256"))
    return columns | {"run": facts["run_id"], "domain": domain, "split": row["split"], "base": identity}


def _drops(facts: Mapping[str, Any], steps: list[int]) -> dict[str, np.ndarray]:
    """The changes of the LR up to each step, from the schedule that the record names; {} if it names none."""
    named = facts.get("schedule") or {}
    if named.get("variant") not in discover_group("lr_schedule") or not facts.get("peak_lr"):
        return {}
    return lr_drops(_rates(facts), np.array(steps, dtype=int))


def _rates(facts: Mapping[str, Any]) -> np.ndarray:
    """LR of every step of a run, from the schedule that its record names. UserError if that is no schedule."""
    schedule = schedule_of(facts.get("schedule") or {}, f"run {facts['run_id']}: schedule")
    return learning_rates(schedule, facts["peak_lr"], facts["tokens_per_step"], facts["tokens_total"])


def as_observations(
    table: list[dict[str, Any]], origin: str, left_out: Mapping[str, int], general: str = ""
) -> Observations:  # fmt: skip
    """Rows -> columns; a quantity that some row lacks is no column, except shares, which are then 0.

    Where some run was sparse, the mean parameters of the dense ones are their parameters.
    """
    if any("num_params_mean" in row for row in table):
        table = [{"num_params_mean": row["num_params"]} | row for row in table]
    columns = {}
    for name in dict.fromkeys(name for row in table for name in row if name not in TEXT):
        values = [row.get(name, 0.0 if name.startswith("share_") else None) for row in table]
        if all(value is not None for value in values):
            columns[name] = np.array(values, dtype=np.float64)
    run, domain, split, base = (np.array([row[name] for row in table], dtype=np.str_) for name in TEXT)
    return Observations(columns, run, domain, split, base, origin, left_out, general=general).in_order()
