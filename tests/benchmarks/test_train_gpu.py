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


@pytest.mark.slow
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
    assert "flash-attn is not used" in done.stdout
    assert "Liger kernels are not used" in line["peer_settings"]


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


def test_the_limits_of_all_entries_fit_the_promised_minutes(benchmark):
    assert sum(seconds for _, seconds in benchmark.ENTRIES.values()) <= 60 * benchmark.MINUTES - 10
    named = {name for name, _, other, _, _ in benchmark.BARS.values() for name in (name, other) if name}
    assert named <= set(benchmark.ENTRIES)


def test_the_floor_of_the_other_claims_is_what_a_hand_works_out(benchmark):
    import gpu_floor_claims as claims
    from gpu_shapes import SHAPES

    one = SHAPES["1b"]
    step, tokens = claims.parts(one), 65536
    floor = claims.seconds(step, likely=False)
    # FP8: six products at twice the speed; 10 B of (3 x 2048 + 8192) inputs, 5 B of (3 x 2048 + 2 x 512 + 2 x 8192) gradients
    saved = 6 * one.matrices * tokens * (1 / 989e12 - 1 / 1979e12)
    added = (143_360 + 117_760) * 16 * tokens + 10 * one.matrices * 2
    assert claims.fp8(one, step, False) == pytest.approx(floor - saved + added / 4.8e12)
    # eight documents cut at random have 2/9 of the row's square
    attention = 7 * 16 * 2048 * 4096 * tokens / 989e12
    assert claims.packed(step, 8, False) == pytest.approx(floor - attention * 7 / 9)
    assert claims.packed(step, 1, False) == pytest.approx(floor)
    assert claims.fsdp(one, step, False) == pytest.approx(floor + 22 * (one.matrices + one.head) * 2 / 4.8e12)
    # Trainer: 18 B more a logit, 42 B a token, layer and unit of width, and 16 - 2 sums of the head's gradient less
    more = 18 * tokens * 128_256 + 42 * 2048 * 16 * tokens - 14 * 12 * one.head
    assert claims.peer(one, False) == pytest.approx(floor + more / 4.8e12)
    assert claims.peer(one, False, liger=True) == pytest.approx(floor + 42 * 2048 * 16 * tokens / 4.8e12)
    likely = claims.seconds(step, likely=True)
    assert likely - claims.with_flash_3(step, True) == pytest.approx(attention * (1 / 0.35 - 1 / 0.5))
    assert claims.with_flash_3(step, False) == floor
    held = claims.memory(one)
    assert held["activations of the blocks"] == 2 * (6 * 2048 + 2 * 512 + 3 * 8192) * 16 * 8 * 4096
    assert sum(held.values()) < 141e9 - claims.whole_logits(one)  # 8 rows a pass fit an H200 for either
    for ratio, bar in ((floor / claims.fp8(one, step, False), 1.05), (claims.seconds(claims.wide_step(), False)
                       / claims.fp8(claims.WIDE, claims.wide_step(), False), 1.2)):  # fmt: skip
        assert ratio > bar  # else the bar could not be met at all
