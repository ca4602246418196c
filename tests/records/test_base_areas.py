import numpy as np
import pytest

from cptlab.records.base_areas import base_areas


def test_areas_of_a_wsd_base_worked_by_hand():
    """10 steps of 10 tokens: 2 of warm-up, 4 at the peak of 1, 4 down to 0."""
    schedule = {"variant": "wsd", "warmup_tokens": 20, "decay_share": 0.4, "floor": 0.0}
    base = {"lr_history": {"peak_lr": 1.0, "schedule": schedule}, "tokens": 100, "step": 10}
    rates = [0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]
    drops = [0.25 * sum(0.999**j for j in range(k)) for k in range(1, 5)]
    got = base_areas(base)
    assert got["base_lr_area"] == pytest.approx(sum(rates))
    assert got["base_anneal_area"] == pytest.approx(np.sum(drops))


def test_a_base_without_history_has_no_areas():
    assert base_areas({"kind": "pretrained", "weights_sha256": "ab", "lr_history": None, "tokens": None}) == {}
