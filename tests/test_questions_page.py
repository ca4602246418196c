"""docs/questions.md: every command runs and prints what the page says, every question has its section."""

import re
from pathlib import Path

import numpy as np
import pytest
from pages import blocks, numbers, run_command, words

from cptlab.variants import discover_group

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "questions.md").read_text("utf8")
COMMANDS = {re.search(r"question=(\w+)|(check)=", source)[0]: (source, said) for source, said in blocks(PAGE, "bash")}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_the_page_prints_what_the_page_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    source, said = COMMANDS[name]
    printed = run_command(source, tmp_path)
    assert words(printed) == words(said)
    np.testing.assert_allclose(numbers(printed), numbers(said), rtol=0.03, atol=0.003)


def test_every_question_has_its_section_and_its_command():
    sections = set(re.findall(r"^## (\w+)$", PAGE, re.MULTILINE))
    assert (
        sections
        == set(discover_group("question"))
        == {name.removeprefix("question=") for name in COMMANDS} - {"check="}
    )


def test_the_links_of_the_pages_lead_to_files():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)(?:#\w*=?)?\)", page.read_text("utf8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken


def test_the_made_up_tables_are_what_their_script_writes(tmp_path):
    import importlib.util

    import pandas as pd

    spec = importlib.util.spec_from_file_location("make", ROOT / "docs" / "data" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    for name in ("lr_grid", "schedules", "three_corpora"):
        made, shipped = (
            getattr(make, name)().reset_index(drop=True),
            pd.read_csv(ROOT / "docs" / "data" / f"{name}.csv"),
        )
        pd.testing.assert_frame_equal(made, shipped, check_dtype=False, rtol=1e-4)
