"""docs/schedules.md names what there is, and its commands are real."""

import re
import shlex
from pathlib import Path

import pytest

from cptlab.launch import options
from cptlab.schedules.curves import CURVES
from cptlab.schedules.history import history_of
from cptlab.sweeps.preflight import compose_point

PAGE = (Path(__file__).parents[2] / "docs/schedules.md").read_text("utf8")
BLOCKS = re.findall(r"```(?:bash)?\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if "train.py" in line]


def test_every_schedule_and_curve_is_on_the_page():
    table = PAGE[PAGE.index("| `lr_schedule=`") :].split("\n\n")[0]
    rows = {row.split("`")[1] for row in table.splitlines()[2:]}
    assert rows == set(options("lr_schedule"))
    assert all(f"`{curve}`" in PAGE for curve in CURVES)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_composes(command):
    overrides = shlex.split(command)[2:]
    config = compose_point(overrides)
    wanted = next((o.split("=")[1] for o in overrides if o.startswith("lr_schedule=")), "constant")
    assert config.lr_schedule.variant_name == wanted
    if "model.lr_history" in command:
        assert history_of(config.model.lr_history).areas()["base_potential"] == pytest.approx(0.1)


def test_the_picture_draws_every_schedule():
    text = (Path(__file__).parents[2] / "docs/images/make_schedules.py").read_text("utf8")
    assert set(re.findall(r'^    "(\w+)": \[', text, re.MULTILINE)) == set(options("lr_schedule"))
