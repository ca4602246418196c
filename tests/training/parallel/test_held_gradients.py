"""Between the passes of a step (machine.micro_rows) a process holds its share of the gradients, not all of them."""

import json
from pathlib import Path

import pytest


def test_gradients_between_passes_are_shards(torchrun, tmp_path):
    torchrun(2, Path(__file__).with_name("held_worker.py"), str(tmp_path))
    reports = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    for report in reports:
        assert report["local"] < 0.51 * report["whole"]
        for left in report["left"]:  # after a pass that is not the last, another, and the last
            assert 0.95 * report["local"] < left < 1.1 * report["local"]
    assert reports[0]["norm"] > 0
    assert reports[0]["norm"] == pytest.approx(reports[1]["norm"])
