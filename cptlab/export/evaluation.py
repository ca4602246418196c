"""lm_eval on an export with local task files: offline, results as JSON beside the run, one short table."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from cptlab.errors import UserError, closest
from cptlab.export.record import open_run
from cptlab.export.weights import weights_of
from cptlab.models.base import weights_sha256
from cptlab.records.run import write_whole
from cptlab.training.build import silence_libraries


@dataclass(frozen=True)
class Choices:
    """Of one evaluation. only: names of tasks, () = all; fewshot: None = as each task says; limit: examples a task."""

    only: tuple[str, ...] = ()
    fewshot: int | None = None
    limit: int | None = None
    batch: int = 8
    device: str = ""
    allow_code: bool = False


def evaluate(run: Path, tasks: Path, choices: Choices, to: Path | None = None) -> str:
    """Run the tasks, write the results, return the table. UserError for anything missing, before the model loads."""
    for name, least in (("fewshot", 0), ("limit", 1), ("batch", 1)):
        value = getattr(choices, name)
        if value is not None and value < least:
            raise UserError(f"--{name} is {value}; it must be {least} or more")
    if find_spec("lm_eval") is None:
        raise UserError("cptlab lm-eval needs lm_eval; pip install 'cptlab[evaluation]'")
    refuse_tasks(tasks, choices.allow_code)
    model = model_folder(run)
    # Before the libraries are imported, which read it once: nothing is fetched, task files name local data.
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    with contextlib.nullcontext() if sys.stderr.isatty() else no_bars():
        results = run_tasks(model, tasks.resolve(), choices)
    file = to or run / "lm_eval" / f"{tasks.resolve().name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    described = {"folder": model.name, "weights_sha256": weights_sha256(model)}
    write_whole(file, {"model": described, "choices": asdict(choices), **results})
    return f"{table(results)}\n{file}"


@contextlib.contextmanager
def no_bars() -> Iterator[None]:
    """Within, no progress bar is drawn. TQDM_DISABLE does not do it: lm_eval says of each of its bars that it is on."""
    from tqdm.std import tqdm

    real = tqdm.__init__

    def silent(self: Any, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **(options | {"disable": True}))

    tqdm.__init__ = silent  # type: ignore[method-assign]
    try:
        yield
    finally:
        tqdm.__init__ = real  # type: ignore[method-assign]


def refuse_tasks(folder: Path, allow_code: bool) -> None:
    """UserError unless the folder holds task files, and none that runs Python unasked."""
    files = sorted(folder.rglob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise UserError(f"--tasks {folder} holds no *.yaml task file; docs/lm_eval/ has an example")
    coded = [file for file in files if "!function" in file.read_text("utf8")]
    if coded and not allow_code:
        raise UserError(f"{coded[0]} runs Python of its own (!function); read it, then add --allow-code")


def model_folder(run: Path) -> Path:
    """The export of a run if there is one, else its checked model; any other Hugging Face folder as it is."""
    if (run / "run.json").is_file() or not (run / "config.json").is_file():
        finished = open_run(run)
        exports = [run / name for name in ("export", "export_bf16") if (run / name / "config.json").is_file()]
        if exports:
            return exports[0].resolve()
        if weights_of(finished).kind != "model":
            raise UserError(f"{run}: its weights are not one Hugging Face folder; run cptlab export {run} first")
        return (run / "model").resolve()
    return run.resolve()


def run_tasks(model: Path, tasks: Path, choices: Choices) -> dict[str, Any]:
    """What lm_eval found: results, versions, n-shot, n-samples, higher_is_better, versions of lm_eval and torch."""
    import logging

    silence_libraries()
    import lm_eval
    import torch
    from lm_eval.tasks import TaskManager

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    known = manager.all_tasks
    if wrong := [name for name in choices.only if name not in known]:
        raise UserError(f"--only {wrong[0]} is no task of {tasks}.{closest(wrong[0], known)}")
    simple_evaluate = cast(Any, lm_eval.simple_evaluate)  # its decorator hides the parameters
    with contextlib.chdir(tasks):  # data files lie beside the task that names them
        try:
            found = simple_evaluate(
                model="hf", model_args={"pretrained": str(model), "dtype": "auto", "trust_remote_code": False},
                tasks=list(choices.only) or manager.all_subtasks, task_manager=manager, num_fewshot=choices.fewshot,
                limit=choices.limit, batch_size=choices.batch, log_samples=False,
                device=choices.device or ("cuda" if torch.cuda.is_available() else "cpu"),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(f"lm_eval could not run the tasks of {tasks}: {why}") from error
    kept = ("results", "groups", "versions", "n-shot", "n-samples", "higher_is_better")
    versions = {"lm_eval": lm_eval.__version__, "torch": torch.__version__}
    return {name: found[name] for name in kept if name in found} | {"software": versions}


def table(results: dict[str, Any]) -> str:
    """task, metric, value and its standard error over examples, examples; one line a metric."""
    lines = [("task", "metric", "value", "± s.e.", "examples", "shots")]
    for task, metrics in results["results"].items():
        for key, value in metrics.items():
            metric, _, kind = key.partition(",")
            if not kind or metric.endswith("_stderr"):
                continue
            error = metrics.get(f"{metric}_stderr,{kind}")
            counts = results.get("n-samples", {}).get(task, {})
            lines.append((
                task, metric if kind == "none" else f"{metric} ({kind})", f"{value:.4f}",
                f"{error:.4f}" if isinstance(error, float) else "", str(counts.get("effective", "")),
                str(results.get("n-shot", {}).get(task, "")),
            ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in padded)
