"""Runs that `tracking=wandb` logged, read back from W&B -> observations.

Only what is needed is asked for, nothing is written there. A finished run is kept on the disk as a run folder
(plain JSON), and is not fetched again: `source=runs source.path=<cache_dir>/<entity>/<project>` reads the same
without a network.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cptlab.errors import UserError
from cptlab.records.flat_rows import rows_of
from cptlab.records.run import ENDING, FINISHED, RunFacts, write_whole
from cptlab.records.run_folders import Run, last_attempts, load_run
from cptlab.records.run_source import RunSource
from cptlab.variants import variant

FACTS = tuple(field.name for field in fields(RunFacts))
NEEDED = {"run_id", "num_params_nonembed", "tokens_total", "tokens_per_step", "base", "tokenizer_hash"}


@variant("source", "wandb")
@dataclass(kw_only=True)
class WandB(RunSource):
    """Finished runs of a W&B project, logged by `tracking=wandb`.

    project: entity/project. sweep: id of a sweep, '' for all runs. filters: of the public API, in MongoDB's
        language, {state: finished}.
    cache_dir: finished runs are kept in <cache_dir>/<entity>/<project>/<W&B run id>.
    valid_from: fraction of a run's tokens, in [0, 1), before which its rows are left out.
    """

    project: str = ""
    sweep: str = ""
    filters: Any = None
    cache_dir: str = "wandb/cache"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.filters is not None and not isinstance(self.filters, Mapping):
            raise UserError(f'source.filters is {self.filters!r}; write it as "source.filters={{state: finished}}"')

    @property
    def place(self) -> str:
        """The project."""
        return f"source.project={self.project}" + (f" source.sweep={self.sweep}" if self.sweep else "")

    @property
    def cache(self) -> Path:
        """Folder of the finished runs of this project."""
        return Path(self.cache_dir).expanduser() / self.project

    def runs(self, left_out: Counter[str]) -> Iterator[Run]:
        """The runs of the project, oldest first; W&B runs of one run_id are attempts at one run."""
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.project) or ".." in self.project:
            raise UserError(f"source.project is {self.project!r}; give entity/project as in the address of its page")
        attempts: dict[str, list[Run]] = {}
        with self._one_sentence():
            for found in self._listed():
                run = self._kept_copy(found.id) or self._fetched(found)
                if run is None:
                    left_out[f"W&B run {found.id} (not logged by tracking=wandb of cptlab)"] += 0
                else:
                    attempts.setdefault(run.facts["run_id"], []).append(run)
        return iter([_as_one(several) for several in attempts.values()])

    @contextmanager
    def _one_sentence(self) -> Iterator[None]:
        """What the client raises, as one sentence."""
        import wandb.errors
        from wandb.sdk.lib.service.service_connection import WandbApiFailedError

        try:
            yield
        except UserError:
            raise
        except (wandb.errors.Error, WandbApiFailedError, ValueError, OSError) as error:
            why = " ".join(str(error).split())[:160]
            kept = f", or read what was fetched before: source=runs source.path={self.cache}"
            raise UserError(
                f"source=wandb cannot read {self.project} ({why}); check the project's name, `wandb login` and the"
                " network" + (kept if self.cache.is_dir() else "")
            ) from error

    def _listed(self) -> list[Any]:
        """The runs as the public API lists them, oldest first; UserError if there is none."""
        import wandb

        wandb.setup(settings=wandb.Settings(silent=True))
        parts = [*([dict(self.filters)] if self.filters else []), *([{"sweep": self.sweep}] if self.sweep else [])]
        filters = {"$and": parts} if parts else {}
        found = list(wandb.Api().runs(self.project, filters=filters, order="+created_at", lazy=False))
        if not found:
            raise UserError(f"no run in {self.place}" + (" passes source.filters" if self.filters else "") + " on W&B")
        return found

    def _kept_copy(self, name: str) -> Run | None:
        folder = self.cache / name
        return load_run(folder) if (folder / "done.json").exists() else None

    def _fetched(self, found: Any) -> Run | None:
        """One run from W&B, kept on the disk if it is finished; None if it is no run of ours."""
        if not re.fullmatch(r"\w[\w.-]*", found.id) or not found.config.keys() >= NEEDED:
            return None
        facts = {name: found.config[name] for name in FACTS if name in found.config}
        done = {name: found.summary.get(name) for name in ENDING} if found.summary.get("status") else {}
        rows = [row for values in found.scan_history() for row in rows_of(values, facts["run_id"])]
        if done.get("status") == FINISHED:
            self._keep(self.cache / found.id, facts, rows, done)
        return Run(f"W&B run {found.id}", facts, done, last_attempts(rows))

    def _keep(self, folder: Path, facts: dict, rows: list[dict], done: dict) -> None:
        """A run folder; done.json last, so that a copy cut short is fetched again."""
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "run.json", facts)
        (folder / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf8")
        write_whole(folder / "done.json", done)


def _as_one(attempts: list[Run]) -> Run:
    """Attempts at one run, oldest first: their rows together; the end is that of a finished one, else of the last."""
    finished = [run for run in attempts if run.done.get("status") == FINISHED]
    last = (finished or attempts)[-1]
    rows = [row for run in attempts for row in run.rows] if len(attempts) > 1 else last.rows
    return Run(last.folder, last.facts, last.done, last_attempts(rows))
