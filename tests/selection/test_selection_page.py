"""docs/selection.md and docs/replay.md name what there is."""

import re
from pathlib import Path

import pytest

from cptlab.launch import CONF, options
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point

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


@pytest.mark.parametrize("replay", ["agem", "gem"])
def test_the_page_says_that_the_record_counts_rows_that_are_read_for_their_gradient_alone(study, replay):
    said = (DOCS / "replay.md").read_text("utf8").partition("## What the record says")[2].partition("\n## ")[0]
    assert f"`{replay}`" in said
    assert "count like any other in `tokens_seen`,\n`tokens_by_corpus` and both kinds of share" in said
    config = compose_point([*study, "mixture=domain_only", f"replay={replay}", "replay.replay_share=0.25"])
    assert not config.replay.trains_on_rows
    stream = open_point(config).stream
    fresh = sum(int((~stream.batch(step).replayed).sum()) for step in range(stream.steps)) * stream.sequence_length
    seen = stream.tokens_seen(stream.steps)
    assert seen == sum(stream.tokens_by_corpus(stream.steps).values()) == config.tokens_total
    assert seen - stream.replay_tokens(stream.steps) == fresh < seen
