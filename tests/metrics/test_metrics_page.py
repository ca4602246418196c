"""docs/metrics.md: its flags and keys are those that exist, all of them."""

import argparse
import re
from dataclasses import fields
from pathlib import Path

from cptlab.metrics import cli as metrics_cli
from cptlab.training.diagnostics.settings import Diagnostics

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf8")


def options():
    """Of `cptlab metrics`."""
    commands = argparse.ArgumentParser().add_subparsers()
    metrics_cli.add_commands(commands)
    return {flag for action in commands.choices["metrics"]._actions for flag in action.option_strings}


def test_every_flag_is_on_the_page_and_every_flag_of_the_page_exists():
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--log_samples", "--log"}
    assert named == options() - {"--help", "-h"}


def test_every_key_is_on_the_page_and_every_key_of_the_page_exists():
    named = set(re.findall(r"diagnostics\.(?!jsonl)(\w+)", PAGE))
    assert named - {"alignments"} == {field.name for field in fields(Diagnostics)}


def test_nothing_is_measured_by_default():
    assert not Diagnostics().any
    assert all(Diagnostics(**{field.name: True}).any for field in fields(Diagnostics) if field.type == "bool")
