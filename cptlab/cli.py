"""`cptlab sweep STUDY`: train every point of a study on this machine, several at a time; and the rooms' commands."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cptlab import corpus_cli
from cptlab.design import cli as design_cli
from cptlab.doctor import cli as doctor_cli
from cptlab.errors import UserError
from cptlab.export import cli as export_cli
from cptlab.launch import refuse, split_arguments, stop


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `cptlab` command; a user's mistake is one sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="cptlab", description="Continual pre-training as a measurement.")
    commands = parser.add_subparsers(dest="command", required=True)
    sweep = commands.add_parser(
        "sweep",
        help="train every point of a study's grid.yaml",
        epilog="further key=value overrides, e.g. tokens=1e5, apply to every point",
    )
    sweep.add_argument("study", type=Path, help="study folder or its grid.yaml")
    sweep.add_argument("--workers", type=int, default=0, help="points at a time (default: one a CPU core)")
    sweep.add_argument("--dry-run", action="store_true", help="check and list the points, train nothing")
    corpus_cli.add_commands(commands)
    export_cli.add_commands(commands)
    doctor_cli.add_commands(commands)
    design_cli.add_commands(commands)
    flags, overrides = split_arguments(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(flags)
    try:
        if options.command == "corpus":
            code = corpus_cli.run(options, overrides)
        elif options.command in export_cli.COMMANDS:
            code = export_cli.run(options)
        elif options.command in design_cli.COMMANDS:
            code = design_cli.run(options, overrides)
        elif options.command == "doctor":
            code = doctor_cli.run(overrides)
        else:
            code = run_sweep(options.study, overrides, options.workers, options.dry_run)
        sys.stdout.flush()
        sys.exit(code)
    except UserError as error:
        refuse(error)
    except OSError as error:
        stop(error)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        sys.exit(130)


def run_sweep(study: Path, overrides: list[str], workers: int, dry_run: bool) -> int:
    """Check every point, then train them. Returns 1 if a point failed."""
    if workers < 0:
        raise UserError(f"--workers is {workers}; it must be 1 or more, or 0 for one a CPU core")
    from cptlab.sweeps.grid import read_grid
    from cptlab.sweeps.preflight import check_points

    grid = read_grid(study, overrides)
    check_points(grid.points)
    if dry_run:
        print("\n".join(" ".join(point) for point in grid.points))
        return 0
    from cptlab.sweeps.local_agent import run_points

    workers = workers or len(os.sched_getaffinity(0))
    print(f"{grid.name}: {len(grid.points)} points, {workers} at a time", flush=True)
    outcomes = run_points(grid.points, workers)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    skipped = sum(outcome.status == "skipped" for outcome in outcomes)
    print(
        f"{grid.name}: {len(outcomes) - failed - skipped} trained, {skipped} skipped, {failed} failed",
        flush=True,
    )
    return int(failed > 0)


if __name__ == "__main__":
    main()
