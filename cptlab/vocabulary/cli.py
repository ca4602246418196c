"""`cptlab vocab`: the base that a configuration's `vocab` makes, without training, and what it does to fertility."""

from __future__ import annotations

import argparse

from cptlab.errors import UserError


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `vocab` to the commands of `cptlab`."""
    commands.add_parser(
        "vocab",
        help="make the base that vocab=extend|replace|prune|lep asks for, and report fertility before and after",
        epilog="key=value overrides as for train.py, e.g. vocab=extend vocab.tokens=8000 model=pretrained model.path=X",
    )


def run(overrides: list[str]) -> int:
    """The command's exit code."""
    from cptlab.sweeps.preflight import compose_point

    config = compose_point(overrides)
    if not config.vocab.identity():
        raise UserError("cptlab vocab needs vocab=extend, replace, prune or lep; vocab=none changes nothing")
    from cptlab.training.build import silence_libraries
    from cptlab.vocabulary.building.adapt import adapt
    from cptlab.vocabulary.building.fertility import lines

    silence_libraries()
    adapted = adapt(config.vocab, config.model, config.model.base(), config.data)
    print("\n".join([*lines(adapted.facts), f"{adapted.folder}: model and tokenizer, a base for model.path"]))
    return 0
