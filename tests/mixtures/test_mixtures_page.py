"""docs/mixtures.md: every variant has a section and every command is real."""

import re
import shlex
from pathlib import Path

import pytest

from cptlab.launch import options
from cptlab.sweeps.preflight import compose_point, expand

PAGE = (Path(__file__).parents[2] / "docs/mixtures.md").read_text("utf8")
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_composes(command):
    program, *words = shlex.split(command)[1:]
    assert program == "train.py"
    overrides = [word for word in words if word != "-m"]
    for point in expand(overrides) if "-m" in words else [overrides]:
        assert compose_point(point).mixture.group == "mixture"


def test_every_mixture_is_on_the_page_with_a_command_or_a_word():
    assert not [name for name in options("mixture") if f"mixture={name}" not in PAGE]
