"""The importance that a run leaves is read by a run of the same regulariser on the same weights, or by none."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    """A run on prose that leaves the importance of `rwalk`, and one that leaves that of `si`."""
    found = {}
    for name in ("si", "rwalk"):
        overrides = [*study, "mixture=general_only", "tokens=128", f"runs={tmp_path_factory.mktemp('base')}",
                     f"regularizer={name}", "regularizer.strength=0", "evaluation.points=1"]  # fmt: skip
        outcome = train_point(compose_point(overrides), overrides, quiet=True)
        assert outcome.status == "finished", outcome.reason
        found[name] = outcome.folder
    return found


def opened(study, base, *overrides):
    return open_point(compose_point([*study, f"model.base_run={base}", *overrides]))


@pytest.mark.parametrize("name", ["si", "rwalk"])
def test_a_file_says_which_regularizer_left_it_and_a_run_of_that_one_reads_it(study, base, name):
    with safe_open(base[name] / "importance.safetensors", framework="numpy") as file:
        assert file.metadata() == {"regularizer": name}
    assert opened(study, base[name], f"regularizer={name}", "regularizer.strength=3").run_id


@pytest.mark.parametrize(("left", "read"), [("rwalk", "si"), ("si", "rwalk")])
def test_the_importance_of_another_regularizer_is_refused(study, base, left, read):
    told = rf"regularizer={read} would read .*, which a run with regularizer={left} left.*; use regularizer={left}, or"
    with pytest.raises(UserError, match=told):
        opened(study, base[left], f"regularizer={read}")


def test_files_from_before_they_said_who_left_them_are_told_apart_by_what_they_hold(study, base, tmp_path):
    for name in ("si", "rwalk"):
        save_file(load_file(base[name] / "importance.safetensors"), tmp_path / f"{name}.safetensors")
    assert opened(study, base["si"], "regularizer=si", f"regularizer.importance={tmp_path}/si.safetensors").run_id
    assert opened(study, base["si"], "regularizer=rwalk", f"regularizer.importance={tmp_path}/rwalk.safetensors").run_id
    with pytest.raises(UserError, match="which a run with regularizer=rwalk left"):
        opened(study, base["si"], "regularizer=si", f"regularizer.importance={tmp_path}/rwalk.safetensors")


def cut(file):
    file.write_bytes(file.read_bytes()[:100])


def renamed(file):
    save_file({"importance/other.weight": torch.ones(3)}, file)


def widened(file):
    left = load_file(file)
    save_file({name: torch.ones(tensor.shape[0], *(2 * size for size in tensor.shape[1:])) for name, tensor in left.items()}, file)  # fmt: skip


def without_norm(file):
    save_file({name: tensor for name, tensor in load_file(file).items() if "model.norm" not in name}, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_text("no tensors"), r"is no safetensors file \(.*\); name the importance\.safetensors"),
        (lambda file: file.write_bytes(b""), "is no safetensors file"),
        (cut, "is no safetensors file"),
        (lambda file: save_file({"weight": torch.ones(3)}, file), "it holds weight, which is none of them"),
        (renamed, r"it holds other\.weight, which is none of them; name that of a run of this model with si"),
        (widened, r"it holds model\.\S+ of shape \(\d+, 16\) where they have \(\d+, 8\)"),
        (without_norm, r"it lacks model\.model\.norm\.weight"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_of_the_trained_weights_is_refused_before_training(study, base, tmp_path, spoil, message):
    file = tmp_path / "spoilt.safetensors"
    file.write_bytes((base["si"] / "importance.safetensors").read_bytes())
    spoil(file)
    with pytest.raises(UserError, match=message):
        opened(study, base["si"], "regularizer=si", f"regularizer.importance={file}", f"runs={tmp_path}/runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("adapter", ["lora", "pissa"])
def test_an_adapter_is_refused_since_the_importance_of_a_base_is_not_that_of_its_weights(study, base, adapter):
    with pytest.raises(UserError, match="adapter=lora trains its own weights: use regularizer=ewc, or adapter=none"):
        opened(study, base["si"], "regularizer=si", "adapter=lora", "adapter.rank=2",
               *(["adapter.init=pissa"] if adapter == "pissa" else []))  # fmt: skip
