"""A run as its record has it, finished or up to a checkpoint: run.json, done.json and evals.jsonl."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cptlab.errors import UserError, closest
from cptlab.records.run import FINISHED, RunFolder, read_rows

SPLITS = ("test", "valid", "fit")  # the first one measured at both ends is shown


@dataclass(frozen=True)
class Loss:
    """Loss of one corpus before the first update and at the end, on the same rows.

    before, after and their standard errors over rows [nat/token]; bytes_per_token turns them into bits per byte.
    """

    corpus: str
    split: str
    before: float
    before_se: float
    after: float
    after_se: float
    bytes_per_token: float


@dataclass(frozen=True)
class Recorded:
    """run.json, done.json and the rows of evals.jsonl up to a step.

    done: {} while the run goes on; step: optimizer steps behind the weights that are meant.
    """

    path: Path
    facts: dict
    done: dict
    rows: list[dict]
    step: int

    @property
    def run_id(self) -> str:
        """Name of the record."""
        return self.facts["run_id"]

    @property
    def last(self) -> dict:
        """A row of the last evaluation, with the tokens that each corpus gave."""
        return max(self.rows, key=lambda row: (row["attempt"], row["step"]))

    def losses(self) -> list[Loss]:
        """One entry a corpus: the first of SPLITS that was measured before the first update and at the end."""
        # A later attempt comes later in the file, so the last row of a key is the one that holds.
        held = {(row["domain"], row["split"], row["step"]): row for row in self.rows}
        end, found = self.last["step"], []
        for corpus in sorted({row["domain"] for row in self.rows}):
            for split in SPLITS:
                first, last = held.get((corpus, split, 0)), held.get((corpus, split, end))
                if first and last and end:
                    found.append(
                        Loss(
                            corpus, split, first["loss_sum"] / first["num_tokens"], first["loss_se"],
                            last["loss_sum"] / last["num_tokens"], last["loss_se"],
                            last["num_bytes"] / last["num_tokens"],
                        )
                    )  # fmt: skip
                    break
        return found


def open_run(path: Path, step: int | None = None) -> Recorded:
    """The record in a run folder, up to a step. UserError unless there is one and, without a step, it is finished."""
    refuse_no_run(path)
    try:
        facts = json.loads((path / "run.json").read_text("utf8"))
        done = RunFolder(path).done() or {}
        rows = read_rows(path)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: its record cannot be read ({error}); restore the folder or train it again") from error
    if step is not None:
        return Recorded(path, facts, done, [row for row in rows if row["step"] <= step], step)
    if (status := done.get("status", "not ended")) != FINISHED:
        raise UserError(
            f"{path}: that run is {status}; train it to its end first, the same train.py command goes on, or export a"
            " checkpoint of it with --step latest"
        )
    return Recorded(path, facts, done, rows, facts["steps_total"])


def refuse_no_run(path: Path) -> None:
    """UserError unless the folder holds a record."""
    if not (path / "run.json").is_file():
        siblings = [p.name for p in path.parent.glob("*") if (p / "run.json").is_file()] if path.parent.is_dir() else []
        raise UserError(f"{path} is no run: it holds no run.json.{closest(path.name, siblings)}")
