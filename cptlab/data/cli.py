"""`cptlab corpus build | inspect | verify`: the corpora of a configuration, made and looked at before training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.training import cli as score_cli

if TYPE_CHECKING:
    from cptlab.data.corpus import Place
    from cptlab.data.sources.base import DataSource
    from cptlab.selection.base import Selection

EXECUTORS = ("processes", "local", "slurm", "ray")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `corpus` to the commands of `cptlab`."""
    corpus = commands.add_parser("corpus", help="build, inspect or verify tokenised corpora")
    actions = corpus.add_subparsers(dest="action", required=True)
    overrides = "key=value overrides as for train.py, e.g. data=files 'data.corpora={general: a.jsonl.gz}'"
    build = actions.add_parser("build", help="tokenise, continuing where a build was interrupted", epilog=overrides)
    build.add_argument("--workers", type=int, default=0, help="processes, or tasks at a time (default: one a CPU core)")
    build.add_argument(
        "--executor", choices=EXECUTORS, default="processes",
        help="processes of this machine, or datatrove's local, slurm or ray executor",
    )  # fmt: skip
    build.add_argument("--partition", default="", help="SLURM partition")
    build.add_argument("--time", default="24:00:00", help="SLURM time limit of a task")
    build.add_argument("--mem-per-cpu", type=int, default=4, help="[GB] SLURM or Ray memory of a task")
    inspect = actions.add_parser(
        "inspect",
        help="counts and hashes of what was built, and with overrides how rows cut its documents",
        epilog=overrides,
    )
    inspect.add_argument("folder", nargs="?", help="a folder of corpora, instead of overrides")
    inspect.add_argument("--show", action="store_true", help="also the first documents of each corpus")
    verify = actions.add_parser("verify", help="hash every file, look for held-out text in train", epilog=overrides)
    verify.add_argument("folder", nargs="?", help="a folder of corpora, instead of overrides")
    score_cli.add_command(actions)


def run(options: argparse.Namespace, overrides: list[str]) -> int:
    """The command's exit code: 1 if what was built is broken."""
    if options.action == "build":
        return build(options, overrides)
    if options.action == "score":
        return score_cli.run(options, overrides)
    if options.folder and overrides:
        raise UserError(f"give either the folder {options.folder} or overrides, not both")
    source = None
    if options.folder:
        folder = Path(options.folder)
    else:
        source, place, *_ = configured(overrides)
        folder = built(source, place)
    if options.action == "inspect":
        from cptlab.data.building.inspect import row_lines, samples, table
        from cptlab.data.building.manifest import open_corpora

        corpora = open_corpora(folder, "")
        print(table(corpora))
        if source is not None:
            print(row_lines(corpora, source.sequence_length, source.packing))
        if options.show:
            print(samples(corpora))
        return 0
    from cptlab.data.building.verify import verify

    try:
        print("\n".join(verify(folder)))
    except UserError as error:
        print(f"broken: {error}")
        return 1
    return 0


def configured(overrides: list[str]) -> tuple[DataSource, Place, str | None, Selection]:
    """The source, where its corpora lie, the base's tokenizer and the selection, as train.py has them."""
    from cptlab.data.corpus import find
    from cptlab.sweeps.preflight import compose_point

    config = compose_point(overrides)
    weights = config.model.folder()
    if weights and not weights.is_dir() and config.data.tokenizer == "auto":
        config.model.base()  # says what is missing
    if config.vocab.identity():
        from cptlab.vocabulary.building.adapt import adapt

        weights = adapt(config.vocab, config.model, config.model.base(), config.data).folder
    base = str(weights) if weights else None
    return config.data, find(config.data, base, config.selection), base, config.selection


def built(source: DataSource, place: Place) -> Path:
    """The finished folder. UserError if there is none."""
    if place.folder is None or not (place.folder / "manifest.json").is_file():
        raise UserError(f"these corpora are not built in {source.cache_dir} yet; run cptlab corpus build with them.")
    return place.folder


def build(options: argparse.Namespace, overrides: list[str]) -> int:
    """Build, then show what there is."""
    from cptlab.data.building.build import default_workers
    from cptlab.data.building.inspect import table
    from cptlab.data.corpus import SubmittedError, prepare

    if options.workers < 0:
        raise UserError(f"--workers is {options.workers}; it must be 1 or more, or 0 for one a CPU core")
    source, _, base, selection = configured(overrides)
    workers = options.workers or default_workers()
    cluster = None
    if options.executor != "processes":
        from cptlab.data.building.executors import Cluster

        cluster = Cluster(options.executor, workers, options.partition, options.time, options.mem_per_cpu)
    try:
        print(table(prepare(source, base, selection, workers=workers, cluster=cluster)))
    except SubmittedError as line:
        print(line)
    return 0
