"""The grids of the studies of forgetting are real, and vary what their questions ask about."""

from pathlib import Path

import pytest

from cptlab.sweeps.grid import expand_grid
from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import read_study

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
GRIDS = ("grid.yaml", "grid_gpu.yaml")


def configs(study, file):
    return compose_points(read_study(EXPERIMENTS / study / file, ["machine=cpu_1"]).points)


@pytest.mark.parametrize("file", GRIDS)
def test_the_stability_gap_is_asked_of_five_ways_and_five_seeds(file):
    found = {}
    for c in configs("stability_gap", file):
        found.setdefault((c.mixture.variant_name, c.mixture.domain_share), set()).add(c.seed)
    assert set(found) == {("static", 0), ("static", 1), ("subset_epochs", 1), ("static", 0.25), ("subset_epochs", 0.25)}
    assert {len(seeds) for seeds in found.values()} == {5}


@pytest.mark.parametrize("file", GRIDS)
def test_every_mer_run_has_plain_replay_of_its_share_at_three_learning_rates(file):
    found = configs("replay_mer", file)
    rates = {}
    for c in found:
        if c.replay.variant_name == "fixed":
            rates.setdefault(c.replay.replay_share, set()).add(c.optimizer.peak_lr)
    mer = {c.replay.replay_share for c in found if c.replay.variant_name == "mer"}
    assert mer == {0, 0.25}
    assert {len(rates[share]) for share in mer} == {3}
    assert set(rates) == {0, 0.01, 0.05, 0.1, 0.25, 0.5}
    assert all(c.steps % c.replay.every == 0 for c in found if c.replay.variant_name == "mer")


@pytest.mark.parametrize("file", GRIDS)
def test_every_height_of_the_rewarm_meets_every_share_of_replay(file):
    found = {
        (c.optimizer.peak_lr, c.replay.replay_share, c.lr_schedule.warmup_tokens, c.seed)
        for c in configs("lr_rewarm", file)
    }
    usual = {(lr, share) for lr, share, length, _ in found if length == 40960}
    assert len(usual) == 8
    assert len({length for *_, length, _ in found}) == 3
    assert len({seed for *_, seed in found}) >= 3


@pytest.mark.parametrize("file", GRIDS)
def test_the_control_of_the_streams_sees_as_much_of_every_domain(file):
    found = configs("domain_stream", file)
    assert {tuple(c.mixture.shares) for c in found} == {("law", "medical", "code")}
    assert len({c.seed for c in found}) >= 3
    bases = expand_grid(read_yaml("domain_stream", file.replace("grid", "bases")), EXPERIMENTS, ["machine=cpu_1"])
    (base,) = compose_points(bases)
    assert base.data.corpora == found[0].data.corpora
    assert (base.mixture.domain_share, base.model.base_run) == (0, "")


def test_a_stream_has_as_many_tokens_as_its_control():
    lines = (EXPERIMENTS / "domain_stream/streams.sh").read_text("utf8")
    assert "tokens=409600" in lines
    assert {c.tokens for c in configs("domain_stream", "grid.yaml")} == {3 * 409600}


def read_yaml(study, file):
    import yaml

    return yaml.safe_load((EXPERIMENTS / study / file).read_text("utf8"))
