"""docs/corpora.md and docs/data_order.md: their commands run, on small text; their keys and benchmarks exist."""

import gzip
import json
import random
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from pages import blocks

from cptlab.cli import main
from cptlab.variants import discover_group

ROOT = Path(__file__).parents[1]
PAGES = {name: (ROOT / "docs" / name).read_text("utf8") for name in ("corpora.md", "data_order.md")}
COMMANDS = [source.splitlines() for page in PAGES.values() for source, _ in blocks(page, "bash")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the page names, enough text for a row in every split."""
    path = tmp_path_factory.mktemp("page")
    rng = random.Random(0)
    words = ["the", "river", "runs", "with", "an", "old", "mill", "where", "nobody", "grinds", "corn", "and", "that"]

    def text(number: int) -> str:
        return f"Number {number}. " + ". ".join(" ".join(rng.choices(words, k=12)) for _ in range(8)) + "."

    texts = [text(number) for number in range(900)]
    with gzip.open(path / "prose.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps({"text": one}) + "\n" for one in texts[:300]))
    (path / "statutes").mkdir()
    for number, one in enumerate(texts[300:600]):
        (path / "statutes" / f"{number}.txt").write_text(one)
    (path / "notes.txt").write_text("\n\n".join(texts[600:]))
    (path / "evals").mkdir()
    (path / "evals" / "exam.jsonl").write_text(json.dumps({"question": texts[310]}) + "\n")
    return path


@pytest.mark.parametrize("commands", COMMANDS, ids=[lines[0].partition(" data=")[0] for lines in COMMANDS])
def test_the_commands_of_a_block_run_as_they_stand(commands, folder, monkeypatch, capfd):
    if "data.filters" in commands[0]:
        pytest.importorskip("datatrove")
        pytest.importorskip("spacy")
    monkeypatch.chdir(folder)
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "cptlab"
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        said = capfd.readouterr()
        assert caught.value.code == 0, said.err
        if arguments[1] != "verify":
            assert "train" in said.out
        if "decontaminate" in command:
            assert "law: 1 documents left out: contaminated" in said.out


@pytest.mark.parametrize("name", PAGES)
def test_every_key_that_a_page_names_exists(name):
    known = {field.name for source in discover_group("data").values() for field in fields(source)}
    named = set(re.findall(r"\bdata\.([a-z_]+)", PAGES[name])) - {"md"}
    assert named
    assert named <= known


def test_every_benchmark_that_a_page_names_takes_its_flags():
    named = {c for page in PAGES.values() for c in re.findall(r"`python (benchmarks/[^`]+)`", page)}
    assert named
    for script in {command.split()[0] for command in named}:
        shown = subprocess.run([sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
        flags = {word for command in named if command.split()[0] == script for word in command.split()[1:]}
        assert all(flag in shown.stdout for flag in flags)
