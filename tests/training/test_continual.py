"""Regularisers, MER, A-GEM and GEM in real runs: from the command line, through passes, from run to run."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cptlab.errors import UserError
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point

STEPS20 = ["tokens=1280", "mixture=domain_only", "optimizer.peak_lr=1e-2", "save_model=false"]
SHARE = "replay.replay_share=0.25"
METHODS = [
    ["regularizer=l2_to_base"],
    ["regularizer=ewc", "regularizer.rows=8"],
    ["regularizer=ewc", "regularizer.rows=8", "regularizer.labels=model"],
    ["regularizer=si"],
    ["regularizer=rwalk"],
    ["regularizer=kl_to_base", "replay=fixed", SHARE],
    ["regularizer=kl_to_base", "regularizer.rows=all", "regularizer.source=stored"],
    ["replay=mer", "replay.every=3", SHARE],
    ["replay=agem", SHARE],
    ["replay=gem", SHARE],
]


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


def losses(folder):
    """(rows,) of all steps, domains and splits [nat/token]."""
    return np.array([row["loss_sum"] / row["num_tokens"] for row in read_rows(folder)])


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    """A run on prose that leaves importances of both kinds."""
    folder = tmp_path_factory.mktemp("base")
    found = {
        name: train([*study, "mixture=general_only", "tokens=3200", "optimizer.peak_lr=1e-2", f"runs={folder}",
                     f"regularizer={name}", "regularizer.strength=0"])
        for name in ("si", "rwalk")
    }  # fmt: skip
    one, other = (load_file(run / "model" / "model.safetensors") for run in found.values())
    assert all(one[name].equal(other[name]) for name in one)  # to measure changes nothing
    return found


def from_base(study, base, runs, *overrides):
    kind = "rwalk" if "regularizer=rwalk" in overrides else "si"
    return train([*study, *STEPS20, f"model.base_run={base[kind]}", f"runs={runs}", *overrides])


@pytest.fixture(scope="module")
def plain(study, base, tmp_path_factory):
    return {
        replay: losses(from_base(study, base, tmp_path_factory.mktemp("plain"), *replay))
        for replay in ((), ("replay=fixed", SHARE), ("replay=buffer", SHARE))
    }


@pytest.mark.parametrize("method", METHODS, ids=lambda each: "-".join(o.split("=")[1] for o in each if "." not in o))
def test_every_method_trains_20_steps_and_accumulation_changes_nothing_but_rounding(
    study, base, plain, tmp_path, method
):  # fmt: skip
    whole = losses(from_base(study, base, tmp_path / "whole", *method))
    cut = losses(from_base(study, base, tmp_path / "cut", *method, "machine.micro_rows=1"))
    assert np.abs(whole - cut).max() < 2e-5
    other = plain[("replay=fixed", SHARE)] if SHARE in method and "gem" not in method[0] else plain[()]
    assert np.abs(whole - other).max() > 1e-3  # it does something
    assert whole[0] == other[0]


@pytest.mark.parametrize("kind", ["fixed", "buffer"])
def test_mer_at_rate_one_is_replay_bit_by_bit_and_at_rate_zero_it_stands_still(study, base, plain, tmp_path, kind):
    mer = ["replay=mer", SHARE, "replay.every=2", f"replay.source={'corpus' if kind == 'fixed' else 'buffer'}"]
    replayed = from_base(study, base, tmp_path, *mer, "replay.rate=1")
    assert losses(replayed).tolist() == plain[f"replay={kind}", SHARE].tolist()
    frozen = losses(from_base(study, base, tmp_path, *mer, "replay.rate=0", "evaluation.points=1"))
    assert len(frozen) == 12
    assert frozen[6:].tolist() == frozen[:6].tolist()


@pytest.mark.parametrize("regularizer", ["l2_to_base", "ewc", "si", "rwalk", "kl_to_base"])
def test_strength_zero_is_no_regularizer_bit_by_bit_and_a_large_one_keeps_what_the_base_knew(
    study, base, plain, tmp_path, regularizer
):  # fmt: skip
    replay = ("replay=fixed", SHARE)
    runs = [tmp_path, f"regularizer={regularizer}", *replay]
    free = from_base(study, base, *runs, "regularizer.strength=0")
    assert losses(free).tolist() == plain[replay].tolist()
    strength = {"l2_to_base": 30, "ewc": 1000, "si": 1000, "rwalk": 100, "kl_to_base": 30}[regularizer]
    strong = from_base(study, base, *runs, f"regularizer.strength={strength}")
    rises = []
    for run in (strong, free):
        prose = [
            r["loss_sum"] / r["num_tokens"] for r in read_rows(run) if (r["domain"], r["split"]) == ("prose", "fit")
        ]
        rises.append(prose[-1] - prose[0])
    assert rises[0] < rises[1] - 0.05


def test_answers_stored_before_the_first_step_train_as_those_asked_for_within_steps(study, base, tmp_path):
    kl = [tmp_path, "regularizer=kl_to_base", "regularizer.strength=10", "regularizer.rows=general", "mixture=static"]
    asked = from_base(study, base, *kl)
    stored = from_base(study, base, *kl, "regularizer.source=stored")
    np.testing.assert_allclose(losses(stored), losses(asked), atol=3e-3)  # stored in half precision
    assert not (stored / "base_answers").exists()


def test_more_answers_than_tokens_are_those_of_all_tokens(study, base, tmp_path):
    kl = ["regularizer=kl_to_base", "regularizer.strength=10", "regularizer.rows=all", "regularizer.source=stored"]
    asked, more = (
        from_base(study, base, tmp_path, *kl, "tokens=320", f"regularizer.top_k={k}") for k in (300, 1_000_000_000)
    )
    assert asked != more
    np.testing.assert_array_equal(losses(more), losses(asked))


def test_a_path_leaves_importances_that_the_next_run_reads_and_that_are_part_of_its_run_id(study, base, tmp_path):
    left = load_file(base["si"] / "importance.safetensors")
    weights = load_file(base["si"] / "model" / "model.safetensors")
    assert {name.removeprefix("importance/model.") for name in left} == set(weights)
    assert all(left[f"importance/model.{name}"].shape == weights[name].shape for name in weights)
    assert max(tensor.max() for tensor in left.values()) > 0
    assert min(tensor.min() for tensor in left.values()) >= 0
    walk = load_file(base["rwalk"] / "importance.safetensors")
    assert {name.partition("/")[0] for name in walk} == {"importance", "fisher", "score"}
    most = max(tensor.max() for name, tensor in walk.items() if name.startswith("importance"))
    assert 1 <= most <= 2  # two parts, each at most 1
    second = from_base(study, base, tmp_path, "regularizer=si")
    more = load_file(second / "importance.safetensors")
    assert all((more[name] >= left[name]).all() for name in left)  # importances add up
    assert any((more[name] > left[name]).any() for name in left)
    run_id = {
        importance: open_point(
            compose_point(
                [
                    *study,
                    *STEPS20,
                    f"model.base_run={base['si']}",
                    "regularizer=si",
                    f"regularizer.importance={importance}",
                ]
            )
        ).run_id
        for importance in ("", second / "importance.safetensors")
    }
    assert run_id[""] == second.name
    assert len(set(run_id.values())) == 2


def test_a_base_without_importances_is_refused_with_the_way_to_get_them(study, tmp_path):
    run = train([*study, "mixture=general_only", f"runs={tmp_path}"])
    with pytest.raises(UserError, match=r"train the base with regularizer=si regularizer\.strength=0"):
        open_point(compose_point([*study, f"model.base_run={run}", "regularizer=si"]))
    assert open_point(compose_point([*study, f"model.base_run={run}", "regularizer=si", "regularizer.strength=0"]))


def test_an_adapter_is_held_where_it_started_and_its_base_costs_no_copy_of_the_model(study, base, tmp_path):
    lora = [tmp_path, "adapter=lora", "adapter.rank=2", "replay=fixed", SHARE, "optimizer.peak_lr=3e-2"]
    free = losses(from_base(study, base, *lora))
    held = losses(from_base(study, base, *lora, "regularizer=kl_to_base", "regularizer.strength=30"))
    assert held[0] == free[0]
    assert np.abs(held - free).max() > 1e-3


def test_adaptive_replay_follows_forgetting(study, base, tmp_path):
    folder = from_base(
        study, base, tmp_path, "replay=adaptive_forgetting", "replay.interval=0.25", "replay.minimum=0.1"
    )
    lines = [json.loads(line) for line in (folder / "replay.jsonl").read_text().splitlines()]
    best = lines[0]["base_loss"]
    for line in lines:
        best = min(best, line["general_loss"])
        x = (line["general_loss"] - best) / 0.05
        assert line["decided"] == pytest.approx(0.1 + 0.4 * x / (1 + x))
    assert lines[-1]["decided"] > 0.2


def test_the_fisher_information_is_that_of_rows_one_by_one(study, base, tmp_path):
    """Against gradients by hand of the same rows."""
    from cptlab.data.stream import evaluation_batch
    from cptlab.models.base import load_pretrained
    from cptlab.regularizers.ewc import EWC
    from cptlab.training.evaluate import to_tensors
    from cptlab.training.fisher import measure_fisher
    from cptlab.training.kept import kept_of
    from cptlab.training.module import CPTModule
    from cptlab.training.network import Network

    config = compose_point([*study, f"model.base_run={base['si']}"])
    point = open_point(config)
    network = Network(load_pretrained(base["si"] / "model", 300, 16), config.objective)
    module = CPTModule(network, config.optimizer, config.lr_schedule, 1, 1)
    kept_of(network).add("importance", torch.zeros_like)
    measure_fisher(module, EWC(rows=3), point.stream, "prose")
    rows = to_tensors(evaluation_batch(point.stream.corpora[0], 3, 16, point.corpora.eos_id))
    name = "model.model.layers.0.mlp.up_proj.weight"
    weight = dict(network.named_parameters())[name]
    expected = torch.zeros_like(weight)
    for row in range(3):
        part = network.inputs({key: value[row : row + 1] for key, value in rows.items()})
        logits = network.logits(part)[0].log_softmax(-1)
        labels = part["labels"][0]
        total = logits[torch.arange(16), labels.clamp(min=0)][labels >= 0].sum()
        expected += torch.autograd.grad(total, weight)[0] ** 2 / int((rows["labels"] >= 0).sum())
    torch.testing.assert_close(kept_of(network).whole("importance")[name], expected, rtol=1e-4, atol=1e-9)
    assert expected.max() > 0
