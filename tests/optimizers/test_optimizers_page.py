"""docs/optimizers.md and docs/adapters.md name what there is."""

import re
import shlex
from pathlib import Path

import pytest

from cptlab.adapters.low_rank import LowRank
from cptlab.launch import CONF, options
from cptlab.sweeps.preflight import compose_point
from cptlab.variants import discover_group

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "optimizers.md").read_text("utf8")


@pytest.mark.parametrize("group", ["optimizer", "adapter"])
def test_every_variant_has_its_line_and_its_source_in_the_table(group):
    text = (DOCS / f"{group}s.md").read_text("utf8")
    table = text[text.index(f"| `{group}=`") :].split("\n\n")[0]
    rows = {row.split("`")[1]: row for row in table.splitlines()[2:]}
    assert set(rows) == set(options(group)) == {file.stem for file in (CONF / group).glob("*.yaml")}
    assert all(re.search(r"\b20\d\d\b", row) for name, row in rows.items() if name != "none")


@pytest.mark.parametrize("command", re.findall(r"^python train\.py (.*)$", PAGE, flags=re.MULTILINE))
def test_every_command_of_the_page_composes_and_goes_with_its_schedule(command):
    config = compose_point(shlex.split(command))
    config.optimizer.check_schedule(config.lr_schedule)
    assert f"optimizer={config.optimizer.variant_name}" in command or "no_decay" in command


def test_every_field_of_an_adapter_is_on_the_page():
    text = (DOCS / "adapters.md").read_text("utf8")
    for cls in discover_group("adapter").values():
        for name in cls.__dataclass_fields__:
            assert f"`{name}`" in text, name
    assert issubclass(discover_group("adapter")["qlora"], LowRank)


def test_the_shipped_yaml_builds_the_adapter_that_it_names():
    import yaml

    for name, cls in discover_group("adapter").items():
        values = yaml.safe_load((CONF / f"adapter/{name}.yaml").read_text("utf8"))
        values.pop("defaults")
        assert cls(**values).variant_name == name
