"""Run records -> observations: which runs and which of their rows a law may read.

A row is fit for a law without LR inputs when the LR has been constant since warm-up, or when it is the last
row of a run whose LR decays; the rows before that one are kept for laws with LR inputs, `lr_settled` 0. The row
before the first update gives `base_loss` and is never fitted.
"""

import json
import math
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cptlab.errors import UserError
from cptlab.records.observations import Observations
from cptlab.records.run_columns import DECAY, as_observations, columns_of
from cptlab.records.run_folders import Run
from cptlab.records.source import Source
from cptlab.schedules.area import check_decay
from cptlab.schedules.history import history_of

BEFORE_UPDATE = "rows before the first update (they give base_loss)"
SCRATCH = "rows of runs from scratch (bases)"
WARMUP = "rows inside warm-up"
NOT_THE_RUN = ("branch", "checkpoint", "tracking", "runs", "machine", "save_model", "diagnostics")  # of a configuration


@dataclass(kw_only=True)
class RunSource(Source):
    """Finished runs, wherever their records are kept.

    valid_from: fraction of a run's tokens, in [0, 1), before which its rows are left out.
    anneal_decay: lambda of the annealing areas of runs and bases, in (0, 1); 0.999 is that of the records.
    base_lr_history: LR history of an open model, for runs whose record does not know that of their base.
    """

    valid_from: float = 0.125
    anneal_decay: float = DECAY
    base_lr_history: Any = None

    def __post_init__(self) -> None:
        self._read: list[Run] = []
        self._tried: list[Run] = []  # from a base, finished or not
        if not 0 <= self.valid_from < 1:
            raise UserError(f"source.valid_from is {self.valid_from}; it must lie in [0, 1)")
        check_decay("source.anneal_decay", self.anneal_decay)
        if self.base_lr_history is not None:
            history_of(self.base_lr_history, "source.base_lr_history")

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the records are kept, as the user gave it: `source.path=runs`."""

    @abstractmethod
    def runs(self, left_out: Counter[str]) -> Iterator[Run]:
        """Every run there, finished or not; what is no record is counted by reason."""

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
        decaying = "of a run whose LR decays, the last row only, unless the law has LR inputs"
        return f"rows after warm-up and {start}; {decaying}{note}"

    def read(self) -> Observations:
        """Rows of every split of the finished runs that started from a base; `fit` rows are counted."""
        left_out: Counter[str] = Counter()
        self._tried = []
        runs = list(self._usable(left_out))
        if not runs:
            reasons = "; ".join(left_out) or "there is none"
            raise UserError(
                f"no finished CPT run in {self.place} ({reasons}): make some with "
                "`python train.py -m mixture.domain_share=0.1,0.3,0.5,0.7,0.9`, or give the place where they are"
            )
        refuse_different_texts(runs)
        self._read = runs
        curves = not all(run.facts["lr_is_constant_after_warmup"] for run in runs)
        options = curves, self.anneal_decay, self.base_lr_history
        table = [row for run in runs for row in columns_of(run, self._kept(run, left_out), *options)]
        if not table:
            raise UserError(
                f"the {len(runs)} runs in {self.place} have no row in the valid interval "
                f"({self.rule}): lower source.valid_from or evaluate more often"
            )
        named = {str(run.facts.get("general") or "") for run in runs}
        general = named.pop() if len(named) == 1 else ""
        return as_observations(table, f"run records in {self.place.partition('=')[2]}", dict(left_out), general)

    @property
    def usable(self) -> list[Run]:
        """The runs that the last `read` took rows from."""
        return list(self._read)

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
        """Overrides of the run of that size whose tokens are nearest; the lowest seed of those.

        Of a branch without its trunk: the whole run is the same, and another point may not leave it.
        """
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
        nearest = min(same_size, key=distance)["overrides"]
        return [text for text in nearest if not text.lstrip("+~").startswith("branch.")]

    def _usable(self, left_out: Counter[str]) -> Iterator[Run]:
        """Finished runs that started from a base, once each; the others are counted by name and reason."""
        seen: set[str] = set()
        whole: dict[str, tuple[str, bool]] = {}  # run_id, and whether it is a branch
        for run in self.runs(left_out):
            same, branched = _whole_run(run.facts)
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
                left_out[f"run {name} (second copy in {run.folder})"] += num_rows
            elif same in whole and (branched or whole[same][1]):
                left_out[f"run {name} (the same as {whole[same][0]}, off another trunk)"] += num_rows
            elif not run.rows:
                left_out[f"run {name} (no evaluation)"] += 0
            elif bad := next((row for row in run.rows if not _finite(row["loss_sum"])), None):
                left_out[f"run {name} (loss is not finite at step {bad['step']})"] += num_rows
            elif missing := _without_base_loss(run.rows):
                left_out[f"run {name} (no evaluation of {missing} before the first update)"] += num_rows
            else:
                seen.add(name)
                whole[same] = name, branched
                yield run

    def _kept(self, run: Run, left_out: Counter[str]) -> list[dict[str, Any]]:
        """The rows of a run that some law may read; the others are counted by reason."""
        last = max(row["tokens_seen"] for row in run.rows)
        decays = not run.facts["lr_is_constant_after_warmup"]
        kept = []
        for row in run.rows:
            tokens, reason = row["tokens_seen"], ""
            if row["step"] == 0:
                reason = BEFORE_UPDATE
            elif decays and tokens == last:
                reason = ""
            elif tokens <= run.facts["warmup_tokens"]:
                reason = WARMUP
            elif tokens < self.valid_from * run.facts["tokens_total"]:
                reason = f"rows before the valid interval (source.valid_from={self.valid_from:g})"
            if reason:
                left_out[reason] += row["split"] == "fit"
            else:
                kept.append(row)
        return kept


def _whole_run(facts: Mapping[str, Any]) -> tuple[str, bool]:
    """What sets the numbers of the whole run, by whatever trunk it came; and whether it left one."""
    config = facts.get("config") or {}
    same = {name: value for name, value in config.items() if name not in NOT_THE_RUN}
    base = (facts.get("base") or {}).get("weights_sha256")
    content = [same, (config.get("machine") or {}).get("precision"), base, facts.get("corpora"), facts.get("seed")]
    return json.dumps(content, sort_keys=True, default=str), bool((config.get("branch") or {}).get("run"))


def _finite(loss: float | None) -> bool:
    return loss is not None and math.isfinite(loss)


def _without_base_loss(rows: list[dict[str, Any]]) -> str:
    """Corpora that were evaluated, but not at step 0."""
    measured = {(row["domain"], row["split"]) for row in rows if row["step"] == 0}
    return ", ".join(sorted({r["domain"] for r in rows if (r["domain"], r["split"]) not in measured}))


def refuse_different_texts(runs: list[Run]) -> None:
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
            f"{_names(two)}; read one group alone"
        )


def _names(runs: list[Run]) -> str:
    shown = ", ".join(run.facts["run_id"] for run in runs[:3])
    return shown + (f" and {len(runs) - 3} more" if len(runs) > 3 else "")
