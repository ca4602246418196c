"""docs/forgetting.md names what there is."""

import re
from pathlib import Path

import pytest

from cptlab.launch import CONF, options
from cptlab.sweeps.preflight import compose_point
from cptlab.variants import discover_group

PAGE = (Path(__file__).parents[2] / "docs" / "forgetting.md").read_text("utf8")
COMMANDS = re.findall(r"^python train\.py (.*)$", PAGE, flags=re.MULTILINE)


def test_every_regularizer_has_its_line_with_its_source_and_the_copies_that_it_keeps():
    table = PAGE[PAGE.index("| `regularizer=`") :].split("\n\n")[0]
    rows = {row.split("`")[1]: row for row in table.splitlines()[2:]}
    assert set(rows) == set(options("regularizer")) == {file.stem for file in (CONF / "regularizer").glob("*.yaml")}
    for name, row in rows.items():
        assert name == "none" or re.search(r"\b20\d\d\b", row)
        copies = int(row.split("|")[3].split()[0])
        assert copies == len(discover_group("regularizer")[name].kept)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_composes(command):
    config = compose_point(command.split())
    assert (
        f"regularizer={config.regularizer.variant_name}" in command or f"replay={config.replay.variant_name}" in command
    )


def test_every_method_has_a_command():
    named = {word for command in COMMANDS for word in re.findall(r"(?:regularizer|replay)=(\w+)", command)}
    assert {"ewc", "kl_to_base", "mer", "gem", "si"} <= named
