"""docs/language_adaptation.md and docs/merging.md name what there is."""

import re
from pathlib import Path

from cptlab.launch import options
from cptlab.merging.recipe import ALIASES, METHODS
from cptlab.variants import discover_group

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "language_adaptation.md").read_text("utf8")


def test_every_variant_and_preset_stands_on_the_page():
    for name in discover_group("vocab"):
        assert f"| `{name}`" in PAGE
    for name in options("vocab"):
        assert f"`{name}`" in PAGE or f"`vocab={name}`" in PAGE


def test_every_field_that_the_pages_commands_set_exists():
    variants = discover_group("vocab")
    keys = re.findall(r"vocab\.(\w+)=", PAGE)
    fields = {field for cls in variants.values() for field in cls.__dataclass_fields__}
    assert len(keys) >= 5
    assert set(keys) <= fields


def test_every_method_stands_on_the_page_of_merging():
    page = (DOCS / "merging.md").read_text("utf8")
    for name in [*METHODS, *ALIASES]:
        assert f"`{name}`" in page


def test_studies_that_the_page_names_are_there():
    for study in re.findall(r"`experiments/(\w+)`", PAGE):
        assert (DOCS.parent / "experiments" / study / "grid.yaml").is_file()
