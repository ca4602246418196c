"""A run of five corpora goes on without planning again what lies behind it."""

import json
import random
import shutil

import pytest
from started_runs import done, forget_end, numbers

from cptlab.data import block_order, plan, stretch
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

CORPORA = {"prose": 0.1, "sums": 0.3, "odd": 0.25, "even": 0.2, "words": 0.15}


@pytest.fixture
def overrides(study, tmp_path):
    rng = random.Random(0)
    for name in CORPORA:
        lines = [json.dumps({"text": " ".join(f"{name}{rng.randrange(97)}" for _ in range(40))}) for _ in range(400)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    files = ", ".join(f"{name}: {tmp_path}/{name}.jsonl" for name in CORPORA)
    shares = ", ".join(f"{name}: {share}" for name, share in CORPORA.items())
    return [
        *study, f"data.corpora={{{files}}}", f"data.cache_dir={tmp_path}/cache", f"mixture.shares={{{shares}}}",
        "tokens=6400", "checkpoint.every_steps=70", "checkpoint.keep_finished=true", "optimizer.peak_lr=1e-2",
    ]  # fmt: skip


@pytest.fixture
def planned(monkeypatch):
    """Steps that were apportioned since the list was last emptied, the blocks of a plan made small."""
    steps = []
    apportion = plan.Plan._apportion

    def counted(self, which, start, end):
        steps.extend(range(start, end))
        return apportion(self, which, start, end)

    monkeypatch.setattr(plan.Plan, "_apportion", counted)
    monkeypatch.setattr(plan, "CHUNK_STEPS", 8)
    monkeypatch.setattr(stretch, "CHUNK_STEPS", 8)
    monkeypatch.setattr(block_order, "BLOCK_ROWS", 64)  # sixteen steps of four rows
    return steps


@pytest.mark.parametrize("packing", ["concat", "best_fit"])
def test_a_late_start_apportions_the_steps_that_are_left(overrides, tmp_path, planned, packing):
    def train(runs):
        own = [*overrides, f"runs={tmp_path / runs}", f"data.packing={packing}"]
        outcome = train_point(compose_point(own), own, quiet=True)
        assert outcome.status == "finished", outcome.reason
        return outcome.folder

    whole = train("whole")
    assert min(planned) == 0
    again = tmp_path / "again" / whole.name
    shutil.copytree(whole, again)
    forget_end(again)
    shutil.rmtree(again / "model")
    planned.clear()
    assert train("again") == again
    assert done(again)["of_attempt"]["from_step"] == 70
    assert sorted(planned) == list(range(64, 100))
    assert numbers(again) == numbers(whole)
    assert (again / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()


def test_a_plan_that_is_known_far_ahead_still_gives_a_checkpoint(overrides, tmp_path, planned, monkeypatch):
    monkeypatch.setattr(stretch, "KEPT", 2)
    point = compose_point([*overrides, f"runs={tmp_path / 'ahead'}"])
    from cptlab.training.run import open_point

    ahead = open_point(point).stream
    ahead.table.counts(0, 100)
    assert ahead.state_dict(20) == {}
    ahead.load_state_dict({})
    assert ahead.state_dict(99)["step"] == 96
