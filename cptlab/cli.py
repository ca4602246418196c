"""The `cptlab` command: each room declares and runs its own."""

from __future__ import annotations

import argparse
import sys

from cptlab.data import cli as data_cli
from cptlab.design import cli as design_cli
from cptlab.doctor import cli as doctor_cli
from cptlab.errors import UserError
from cptlab.export import cli as export_cli
from cptlab.launch import refuse, split_arguments, stop
from cptlab.merging import cli as merging_cli
from cptlab.metrics import cli as metrics_cli
from cptlab.sweeps import cli as sweeps_cli
from cptlab.sweeps.wandb import cli as wandb_cli
from cptlab.training.checkpoint.signals import take_early
from cptlab.vocabulary import cli as vocabulary_cli


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `cptlab` command; a user's mistake is one sentence and exit code 2."""
    if arguments is None and sys.argv[1:2] == ["sweep"]:
        take_early()  # also where it reads, checks or chooses, a scheduler's signal asks for the same command again
    parser = argparse.ArgumentParser(prog="cptlab", description="Continual pre-training as a measurement.")
    commands = parser.add_subparsers(dest="command", required=True)
    sweeps_cli.add_commands(commands)
    wandb_cli.add_commands(commands)
    data_cli.add_commands(commands)
    export_cli.add_commands(commands)
    doctor_cli.add_commands(commands)
    design_cli.add_commands(commands)
    metrics_cli.add_commands(commands)
    vocabulary_cli.add_commands(commands)
    merging_cli.add_commands(commands)
    flags, overrides = split_arguments(sys.argv[1:] if arguments is None else arguments)
    options = parser.parse_args(flags)
    try:
        if options.command == "corpus":
            code = data_cli.run(options, overrides)
        elif options.command in export_cli.COMMANDS:
            code = export_cli.run(options)
        elif design_cli.chooses(options):
            code = design_cli.run(options, overrides)
        elif options.command in metrics_cli.COMMANDS:
            code = metrics_cli.run(options)
        elif options.command == "vocab":
            code = vocabulary_cli.run(overrides)
        elif options.command == "merge":
            code = merging_cli.run(options)
        elif options.command == "doctor":
            code = doctor_cli.run(overrides)
        elif options.command == wandb_cli.COMMAND:
            code = wandb_cli.run(options, overrides)
        else:
            code = sweeps_cli.run(options, overrides)
        sys.stdout.flush()
        sys.exit(code)
    except UserError as error:
        refuse(error)
    except OSError as error:
        stop(error)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
