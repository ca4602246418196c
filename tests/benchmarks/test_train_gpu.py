"""The GPU benchmark runs from end to end on a CPU, and its floor is the formula of the throughput page."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import train_gpu

    return train_gpu


def test_tiny_run_prints_a_table_and_a_line_and_one_failure_loses_nothing():
    names = ["transformers 1B", "blocks 8B wide", "cptlab 1B fsdp"]
    command = [sys.executable, str(FOLDER / "train_gpu.py"), "--tiny", "--only", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    line = json.loads(done.stdout.splitlines()[-1])
    assert set(line["entries"]) == set(names)
    assert list(line["missing"]) == ["blocks 8B wide"]
    assert all(line["entries"][name]["tokens_per_second"] > 0 for name in names if name != "blocks 8B wide")
    assert line["missed"] == []
    assert "| cptlab 1B fsdp |" in done.stdout


def test_an_entry_that_hangs_or_dies_is_named_with_its_reason(benchmark):
    import os
    import time

    assert benchmark.run(lambda tiny: time.sleep(60), True, 0.5)["reason"] == "not done after 0 s"
    assert benchmark.run(lambda tiny: os._exit(3), True, 20)["reason"] == "its process died"
    assert benchmark.run(lambda tiny: {"figure": 2.0}, True, 20)["figure"] == 2.0


def test_a_bar_holds_or_not_and_says_nothing_where_an_entry_is_missing(benchmark):
    found = {
        "cptlab 1B": {"mfu": 0.4, "peak_gb": 50.0},
        "transformers 1B": {"peak_gb": 60.0},
        "cptlab 125M": {"reason": "x"},
    }
    judged = benchmark.verdicts(found)
    assert judged["MFU 1B"] == {"figure": 0.4, "bar": 0.5, "holds": False}
    assert judged["peak memory over transformers, 1B"]["holds"] is True
    assert judged["MFU 125M"] == {"figure": None, "bar": 0.3, "holds": None}


def test_the_floor_counts_the_flops_that_mfu_is_about(benchmark):
    import gpu_floor
    from gpu_shapes import SHAPES, TINY

    from cptlab.training.flops import shape_of

    tiny = TINY["1b"]
    assert tiny.flops_per_token == shape_of(tiny.build()).flops_per_token(tiny.length)
    for shape in SHAPES.values():
        tokens = shape.rows * shape.length
        parts = {part.name: part for part in gpu_floor.parts(shape)}
        products = sum(part.flops for name, part in parts.items() if name.startswith("matrix"))
        norms = 6 * (2 * shape.depth + 1) * shape.width
        attention = 12 * shape.depth * shape.width * shape.length
        assert products / tokens == pytest.approx(shape.flops_per_token - norms - attention)
    assert 1.2e9 < SHAPES["1b"].matrices + SHAPES["1b"].head < 1.3e9
    assert 120e6 < SHAPES["125m"].matrices + SHAPES["125m"].head < 130e6
