"""docs/throughput.md: its keys are those of a record, its formulas give their figures, its commands run."""

import json
import re
from pathlib import Path

import pytest
import torch

from cptlab.cli import main
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

PAGE = (Path(__file__).parents[2] / "docs" / "throughput.md").read_text("utf8")
ON_A_GPU = {"peak_device_bytes", "peak_device_reserved_bytes"}


@pytest.fixture(scope="module")
def recorded(study, tmp_path_factory):
    """`throughput` of a run of ten steps."""
    overrides = [*study, f"runs={tmp_path_factory.mktemp('runs')}"]
    folder = train_point(compose_point(overrides), overrides, quiet=True).folder
    return json.loads((folder / "done.json").read_text())["throughput"]


def test_the_table_has_every_key_of_a_record(recorded):
    rows = [line.split("|")[1] for line in PAGE.partition("## ")[0].splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named - ON_A_GPU == set(recorded) - {"devices"}


def test_the_figures_follow_from_one_another_as_the_page_says(recorded):
    N, L, d, T = 3064, 1, 8, 16  # 8 x 300 of the tied head, 4 x 8^2 + 3 x 8 x 16 of the block, 3 norms of 8
    assert N == 8 * 300 + 4 * 8**2 + 3 * 8 * 16 + 3 * 8
    assert "6 N + 12 L d T" in PAGE
    assert recorded["flops_per_token"] == 6 * N + 12 * L * d * T
    speed = recorded["tokens_per_second"]
    assert recorded["mfu"] == pytest.approx(speed * recorded["flops_per_token"] / recorded["peak_flops"])
    assert recorded["mfu_causal_half"] == pytest.approx(speed * (6 * N + 6 * L * d * T) / recorded["peak_flops"])
    assert recorded["counted_steps"] == 10 - 5
    assert recorded["counted_tokens"] == 5 * 64


def test_doctor_looks_at_what_a_run_with_these_overrides_would_find(tmp_path, capsys):
    commands = [command.split() for command in re.findall(r"`(cptlab doctor[^`]*)`", PAGE)]
    assert [len(command) for command in commands] == [2, 5]
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([f"runs={tmp_path}" if word.startswith("runs=") else word for word in command[1:]])
        shown = capsys.readouterr().out
        if "machine=gpu_1" in command and not torch.cuda.is_available():
            assert ended.value.code == 1
            assert shown.splitlines()[-1].startswith("training cannot start: ")
        else:
            assert ended.value.code == 0, shown
            assert shown.splitlines()[-1] == "training can start"
