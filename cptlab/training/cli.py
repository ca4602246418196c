"""`cptlab corpus score NAME FILE`: scores of the rows of a corpus under a base, to choose or order rows by."""

from __future__ import annotations

import argparse


def add_command(actions: argparse._SubParsersAction) -> None:
    """Add `score` to the actions of `cptlab corpus`."""
    score = actions.add_parser(
        "score",
        help="minus the loss of every train row under the model, for mixture.scores",
        epilog="key=value overrides as for train.py; model.base_run=runs/<run_id> names the base",
    )
    score.add_argument("corpus", help="name of the corpus")
    score.add_argument("file", help="the .npy file to write, one number a row")
    score.add_argument("--batch-rows", type=int, default=64, help="[row] scored at a time")


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """Write the file and say how to use it. UserError before the model is built for what does not fit."""
    from pathlib import Path

    from cptlab.errors import UserError
    from cptlab.sweeps.preflight import compose_point
    from cptlab.training.row_scores import write_row_scores

    if options.batch_rows < 1:
        raise UserError(f"--batch-rows is {options.batch_rows}; it must be 1 or more")
    if Path(options.file).suffix != ".npy":
        raise UserError(f"{options.file} does not end in .npy; give the file that mixture.scores will name")
    if not Path(options.file).absolute().parent.is_dir():
        raise UserError(f"{options.file} lies in a folder that does not exist; make it first")
    scores = write_row_scores(compose_point(overrides), options.corpus, options.file, options.batch_rows)
    print(
        f"{options.file}: {len(scores)} rows of {options.corpus}, mean loss {-scores.mean():.4f} nat/token; use it with"
        f" mixture.scores={{{options.corpus}: {options.file}}}"
    )
    return 0
