"""docs/selection.md and docs/replay.md name what there is."""

import re
from pathlib import Path

import pytest

from cptlab.launch import CONF, options
from cptlab.sweeps.preflight import compose_point

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("group", ["selection", "replay"])
def test_every_variant_has_its_line_and_its_source_in_the_table(group):
    text = (DOCS / f"{group}.md").read_text("utf8")
    rows = {row.split("`")[1]: row for row in text.splitlines() if row.startswith("| `") and "=`" not in row}
    assert set(rows) == set(options(group)) == {file.stem for file in (CONF / group).glob("*.yaml")}
    assert all(re.search(r"\b(19|20)\d\d\b|ours|SASR", row) for name, row in rows.items() if name != "none")


@pytest.mark.parametrize("page", ["selection.md", "replay.md"])
def test_every_command_of_the_page_composes(page, tmp_path):
    lines = re.findall(r"^python train\.py (.*)$", (DOCS / page).read_text("utf8"), flags=re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        overrides = line.replace("...", "+data.corpora={a:x.jsonl,b:y.jsonl} data.general=a").split()
        config = compose_point(overrides)
        assert page.removesuffix(".md") in line
        assert getattr(config, page.removesuffix(".md")).variant_name in line
