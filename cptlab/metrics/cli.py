"""`cptlab metrics RUNS`: what continual pre-training gained and lost; `--stream`: of stages, `--tasks`: of items."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    from cptlab.report.marks import Chart

COMMANDS = ("metrics",)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `metrics` to the commands of `cptlab`."""
    parser = commands.add_parser(
        "metrics", help="forgetting, transfer, stability gap, drift, alignment of runs; win/tie/loss on tasks",
        description="Losses in nat/token; a number behind ± is a standard error. docs/metrics.md has the formulas.",
    )  # fmt: skip
    parser.add_argument("runs", nargs="*", type=Path, help="run folders, folders of runs; with --stream also one table")
    parser.add_argument("--split", default="fit", help="held-out split: fit (default), valid, test")
    parser.add_argument("--stream", action="store_true", help="the runs are stages, each from the one before: transfer")
    parser.add_argument("--tasks", nargs=2, type=Path, metavar=("BASE", "ADAPTED"), help="item scores of two models")
    parser.add_argument("--metric", default="", help="of lm_eval's samples: name or name,filter (default: the first)")
    parser.add_argument(
        "--lower-is-better", nargs="+", default=[], metavar="TASK", help="tasks of which lower is better"
    )
    parser.add_argument("--level", type=float, default=0.95, help="of the interval of a gain (default 0.95)")
    parser.add_argument("--draws", type=int, default=10_000, help="bootstrap draws (default 10000)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--figures", type=Path, metavar="FOLDER", help="also write the figures as PNG")


def run(options: argparse.Namespace) -> int:
    """Print the table, or JSON; 0."""
    if bool(options.runs) == bool(options.tasks):
        raise UserError("cptlab metrics takes run folders, or --tasks BASE ADAPTED with the item scores of two models")
    make = of_tasks if options.tasks else of_stream if options.stream else of_runs
    lines, content, charts = make(options)
    print(json.dumps(content, indent=1, allow_nan=False) if options.json else "\n".join(lines))
    if options.figures:
        from cptlab.report.figures import write_figures

        written = write_figures(charts, options.figures)
        if not options.json:
            print(f"\n{len(written)} figure{'s' * (len(written) != 1)} in {options.figures}")
    return 0


Found = tuple[list[str], dict[str, Any], "list[Chart]"]


def of_runs(options: argparse.Namespace) -> Found:
    """One run in full, or a table of several."""
    from cptlab.metrics.of_run import metrics_of
    from cptlab.metrics.tables import run_lines, runs_lines
    from cptlab.report.charts.forgetting import run_charts
    from cptlab.report.marks import Chart

    check_split(options.split)
    found = [metrics_of(run, options.split) for run in read(options.runs)]
    lines = run_lines(found[0]) if len(found) == 1 else runs_lines(found)
    charts = run_charts(found) if options.figures else []
    return lines, {"runs": [each.to_json() for each in found]}, [one for one in charts if isinstance(one, Chart)]


def of_stream(options: argparse.Namespace) -> Found:
    """Transfer over stages: of a table, or of runs in their order."""
    from cptlab.metrics.diagnostics import read_diagnostics
    from cptlab.metrics.stages import read_stages
    from cptlab.metrics.streams import stages_of_runs
    from cptlab.metrics.tables import stream_lines
    from cptlab.metrics.transfer import transfer
    from cptlab.report.charts.transfer import stream_charts

    check_split(options.split)
    if len(options.runs) == 1 and not options.runs[0].is_dir():
        matrix = read_stages(options.runs[0])
    else:
        runs = read(options.runs)
        matrix = stages_of_runs(runs, options.split, [read_diagnostics(run.folder) for run in runs])
    found = transfer(matrix)
    return stream_lines(found), {"stream": found.to_json()}, stream_charts(found) if options.figures else []


def of_tasks(options: argparse.Namespace) -> Found:
    """Win, tie or loss of each task."""
    from cptlab.metrics.paired import tally
    from cptlab.metrics.tables import tasks_lines
    from cptlab.metrics.tasks import verdicts_of
    from cptlab.report.charts.transfer import task_chart

    if not 0 < options.level < 1 or options.draws < 100:
        raise UserError(f"--level {options.level:g} must lie in (0, 1), --draws {options.draws} be 100 or more")
    base, adapted = options.tasks
    found = verdicts_of(base, adapted, options.metric, options.lower_is_better, options.level, options.draws)
    content = {"tasks": [one.to_json() for one in found], "tally": tally(found)}
    return tasks_lines(found), content, [task_chart(found)] if options.figures else []


def read(paths: list[Path]) -> list[Any]:
    """The runs of run folders, and of folders of run folders. UserError where there is none."""
    from cptlab.records.run_folders import load_run, run_folders

    for path in paths:
        if not path.is_dir():
            raise UserError(f"{path} is no folder of runs; give run folders, or a folder of them")
    folders = list(dict.fromkeys(folder for path in paths for folder in run_folders(str(path))))
    if not folders:
        raise UserError(f"{paths[0]} holds no run (a folder with run.json); make one with `python train.py`")
    return [load_run(folder) for folder in folders]


def check_split(split: str) -> None:
    """UserError for a split that no run has."""
    from cptlab.metrics.curves import SPLITS

    if split not in SPLITS:
        raise UserError(f"--split {split} is no split.{closest(split, SPLITS)}")
