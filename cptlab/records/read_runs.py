"""Run records -> observations: which runs and which of their rows a law may read.

A row is fit for a law without LR inputs when the LR has been constant since warm-up, or when it is the last
row of a run whose LR decays. The row before the first update gives `base_loss` and is never fitted.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cptlab.errors import UserError
from cptlab.records.base_areas import base_areas
from cptlab.records.observations import Observations
from cptlab.records.run_folders import Run, load_run, run_folders
from cptlab.records.source import Source
from cptlab.variants import variant

BEFORE_UPDATE = "rows before the first update (they give base_loss)"
SCRATCH = "rows of runs from scratch (bases)"
WARMUP = "rows inside warm-up"
DECAY = "rows before the end of a decaying run"


@variant("source")
@dataclass(kw_only=True)
class Runs(Source):
    """Finished runs under `path`.

    path: folder of run folders, one run folder, or a glob of either; several are separated by commas.
    valid_from: fraction of a run's tokens, in [0, 1), before which its rows are left out (constant-LR runs).
    """

    path: str = "runs"
    valid_from: float = 0.125

    def __post_init__(self) -> None:
        self._read: list[Run] = []
        self._tried: list[Run] = []  # from a base, finished or not
        if not 0 <= self.valid_from < 1:
            raise UserError(f"source.valid_from is {self.valid_from}; it must lie in [0, 1)")

    @property
    def rule(self) -> str:
        """The valid interval of this reader."""
        start = f"from {self.valid_from:g} of a run's tokens on"
        mixed = [
            f"{name} ({', '.join(f'{value:g}' for value in values)})"
            for name in ("peak_lr", "tokens_per_step", "warmup_tokens")
            if len(values := sorted({float(run.facts.get(name, math.nan)) for run in self._read})) > 1
        ]
        note = f"; CAUTION: these runs differ in {', '.join(mixed)}" if mixed else ""
        return f"rows after warm-up and {start}; of a run whose LR decays, the last row only{note}"

    def read(self) -> Observations:
        """Rows of every split of the finished runs that started from a base; `fit` rows are counted."""
        left_out: Counter[str] = Counter()
        self._tried = []
        runs = list(self._usable(left_out))
        if not runs:
            reasons = "; ".join(left_out) or "there is none"
            raise UserError(
                f"no finished CPT run in source.path={self.path} ({reasons}): make some with "
                "`python train.py -m mixture.domain_share=0.1,0.3,0.5,0.7,0.9`, or give source.path"
            )
        _refuse_different_texts(runs)
        self._read = runs
        table = [row for run in runs for row in self._rows(run, left_out)]
        if not table:
            raise UserError(
                f"the {len(runs)} runs in source.path={self.path} have no row in the valid interval "
                f"({self.rule}): lower source.valid_from or evaluate more often"
            )
        return _observations(table, f"run records in {self.path}", dict(left_out))

    def coverage(self) -> list[dict[str, object]]:
        """The runs that the last `read` met, by the domain share that they asked for."""
        asked = ((run, (run.facts.get("config", {}).get("mixture") or {}).get("domain_share")) for run in self._tried)
        return [
            {
                "num_params": run.facts["num_params_nonembed"],
                "share": share,
                "status": run.done.get("status", "missing"),
                "seeds": [run.facts["seed"]],
            }
            for run, share in asked
            if share is not None
        ]

    def sizes(self) -> Mapping[float, str]:
        """Names of the sizes that the last `read` met."""
        named = ((run.facts, run.facts.get("config", {}).get("model") or {}) for run in self._read)
        return {float(facts["num_params_nonembed"]): str(m["size"]) for facts, m in named if m.get("size")}

    def overrides(self, num_params: float, tokens: float) -> list[str] | None:
        """Overrides of the run of that size whose tokens are nearest; the lowest seed of those."""
        same_size = [
            run.facts
            for run in self._read
            if math.isclose(run.facts["num_params_nonembed"], num_params, rel_tol=1e-3)
            and "domain_share" in (run.facts.get("config", {}).get("mixture") or {})
            and run.facts.get("overrides") is not None
        ]
        if not same_size:
            return None
        distance = lambda f: (abs(math.log(f["tokens_total"] / tokens)), f.get("seed", 0), f["run_id"])  # noqa: E731
        return list(min(same_size, key=distance)["overrides"])

    def _usable(self, left_out: Counter[str]) -> Iterator[Run]:
        """Finished runs that started from a base, once each; the others are counted by name and reason."""
        seen: set[str] = set()
        for folder in run_folders(self.path):
            run = load_run(folder)
            name, status = run.facts["run_id"], run.done.get("status", "unfinished")
            num_rows = sum(row.get("split") == "fit" for row in run.rows)
            if (run.facts.get("base") or {}).get("kind") in (None, "", "scratch"):
                left_out[SCRATCH] += num_rows
                continue
            self._tried.append(run)
            if status != "finished":
                reason = f": {run.done['reason']}" if run.done.get("reason") else ""
                left_out[f"run {name} ({status}{reason})"] += num_rows
            elif name in seen:
                left_out[f"run {name} (second copy in {folder})"] += num_rows
            elif not run.rows:
                left_out[f"run {name} (no evaluation)"] += 0
            elif bad := next((row for row in run.rows if not _finite(row["loss_sum"])), None):
                left_out[f"run {name} (loss is not finite at step {bad['step']})"] += num_rows
            elif missing := _without_base_loss(run.rows):
                left_out[f"run {name} (no evaluation of {missing} before the first update)"] += num_rows
            else:
                seen.add(name)
                yield run

    def _rows(self, run: Run, left_out: Counter[str]) -> Iterator[dict[str, Any]]:
        """The rows of a run that a law without LR inputs may read, as columns."""
        facts = run.facts
        base = {(r["domain"], r["split"]): r["loss_sum"] / r["num_tokens"] for r in run.rows if not r["step"]}
        last = max(row["tokens_seen"] for row in run.rows)
        for row in run.rows:
            tokens, reason = row["tokens_seen"], ""
            if row["step"] == 0:
                reason = BEFORE_UPDATE
            elif not facts["lr_is_constant_after_warmup"]:
                reason = DECAY if tokens < last else ""
            elif tokens <= facts["warmup_tokens"]:
                reason = WARMUP
            elif tokens < self.valid_from * facts["tokens_total"]:
                reason = f"rows before the valid interval (source.valid_from={self.valid_from:g})"
            if reason:
                left_out[reason] += row["split"] == "fit"
            else:
                yield _columns(facts, row, base[row["domain"], row["split"]])


def _finite(loss: float | None) -> bool:
    return loss is not None and math.isfinite(loss)


def _without_base_loss(rows: list[dict[str, Any]]) -> str:
    """Corpora that were evaluated, but not at step 0."""
    measured = {(row["domain"], row["split"]) for row in rows if row["step"] == 0}
    return ", ".join(sorted({r["domain"] for r in rows if (r["domain"], r["split"]) not in measured}))


def _refuse_different_texts(runs: list[Run]) -> None:
    """Losses over different held-out rows or tokenizers are different quantities."""

    def text(run: Run) -> str:
        corpora = run.facts.get("corpora") or {}
        held_out = {name: splits["fit"]["content_hash"] for name, splits in corpora.items() if "fit" in splits}
        evaluation = (run.facts.get("config") or {}).get("evaluation") or {}
        rows = [run.facts.get("sequence_length"), evaluation.get("rows")]
        return json.dumps([run.facts["tokenizer_hash"], held_out, rows], sort_keys=True)

    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(text(run), []).append(run)
    if len(groups) > 1:
        one, two = list(groups.values())[:2]
        what = "tokenizers" if len({run.facts["tokenizer_hash"] for run in runs}) > 1 else "held-out rows"
        raise UserError(
            f"runs evaluated on different {what} cannot be fitted together: {_names(one)} against "
            f"{_names(two)}; give one group by source.path"
        )


def _names(runs: list[Run]) -> str:
    shown = ", ".join(run.facts["run_id"] for run in runs[:3])
    return shown + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")


def _columns(facts: Mapping[str, Any], row: Mapping[str, Any], base_loss: float) -> dict[str, Any]:
    """One evaluation row under the column names of `cptlab.units`; shares are achieved counts."""
    tokens, by_corpus, domain = row["tokens_seen"], row["tokens_by_corpus"], row["domain"]
    total = sum(by_corpus.values()) or 1
    share = {name: count / total for name, count in by_corpus.items()}
    base = facts["base"]
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
        "flops": 6.0 * facts["num_params_nonembed"] * tokens,  # C = 6 N D, the convention of the laws
        **base_areas(base),
        "unique_tokens": row.get("unique_tokens_by_corpus", {}).get(domain),
        **{f"share_{name}": value for name, value in share.items()},
    }
    identity = str(base.get("run_id") or base.get("weights_sha256"))
    return columns | {"run": facts["run_id"], "domain": domain, "split": row["split"], "base": identity}


def _observations(table: list[dict[str, Any]], origin: str, left_out: dict[str, int]) -> Observations:
    """Rows -> columns; a quantity that some row lacks is no column, except shares, which are then 0."""
    text = ("run", "domain", "split", "base")
    names = list(dict.fromkeys(name for row in table for name in row if name not in text))
    columns = {}
    for name in names:
        values = [row.get(name, 0.0 if name.startswith("share_") else None) for row in table]
        if all(value is not None for value in values):
            columns[name] = np.array(values, dtype=np.float64)
    run, domain, split, base = (np.array([row[name] for row in table], dtype=np.str_) for name in text)
    return Observations(columns, run, domain, split, base, origin, left_out)
