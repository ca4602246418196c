"""docs/export.md: its commands run on a tiny run, and print the table that the page shows."""

import re
import shlex
from pathlib import Path

import pytest

from cptlab.cli import main
from cptlab.export.evaluation import table
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf8")
BLOCKS = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
ID = "0123456789ab"


def test_the_commands_write_the_folders_that_the_page_names(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overrides = [*study, "runs=runs", "checkpoint.keep_finished=true"]
    name = train_point(compose_point(overrides), overrides, quiet=True).run_id
    commands = [shlex.split(line.replace(ID, name), comments=True) for line in BLOCKS[0].splitlines()]
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program == "cptlab"
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    written = [f"runs/{name}/export", "FOLDER", f"runs/{name}/export_step_10"]
    for folder in written:
        files = {file.name for file in (tmp_path / folder).iterdir()}
        assert {"config.json", "generation_config.json", "model.safetensors", "README.md", "tokenizer.json"} <= files


def test_the_table_of_lm_eval_looks_as_the_page_shows_it():
    command = shlex.split(BLOCKS[1].splitlines()[1])
    assert command[:2] == ["cptlab", "lm-eval"]
    assert (Path(__file__).parents[2] / command[-1] / "agreement.yaml").exists()
    results = {
        "results": {"agreement": {"alias": "agreement", "acc,none": 0.75, "acc_stderr,none": 0.1118034}},
        "n-samples": {"agreement": {"effective": 16}}, "n-shot": {"agreement": 0},
    }  # fmt: skip
    assert table(results).strip() == BLOCKS[2].strip()
