import json
import shutil
from pathlib import Path

import pytest

from cptlab.errors import UserError
from cptlab.models.base import count_params
from cptlab.models.pretrained import Pretrained
from cptlab.models.tiny import SIZES, Tiny

BASES = Path(__file__).parents[2] / "experiments/quickstart/bases"


@pytest.mark.parametrize(("size", "expected"), {"30k": 3e4, "100k": 1e5, "300k": 3e5, "1m": 1e6, "3m": 3e6, "10m": 1e7}.items())  # fmt: skip
def test_a_named_size_has_about_as_many_parameters_as_it_says(size, expected):
    nonembed, total = count_params(Tiny(size=size).build(1024, 128, 0))
    assert nonembed == pytest.approx(expected, rel=0.1)
    assert total - nonembed == 1024 * SIZES[size][0]  # tied embeddings, counted once


def test_parameters_of_a_llama_worked_by_hand():
    width, depth, _, feed_forward = SIZES["100k"]
    layer = 4 * width**2 + 3 * width * feed_forward + 2 * width
    assert count_params(Tiny(size="100k").build(1024, 128, 0))[0] == depth * layer + width


def test_the_same_seed_gives_the_same_weights():
    one, same, other = (Tiny(size="30k").build(300, 16, seed).state_dict() for seed in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize("size", ["30k", "100k", "300k"])
def test_the_quick_starts_bases_are_whole_and_of_their_size(size):
    base = Tiny(size=size, base_run=str(BASES / size)).base()
    assert base.kind == "run"
    assert base.tokens is not None
    assert base.tokens >= 20_000_000


def test_a_base_of_another_size_is_refused():
    with pytest.raises(UserError, match=r"model\.size=100k has .* but the base in .*30k has"):
        Tiny(size="100k", base_run=str(BASES / "30k")).base()


def test_a_missing_base_says_which_command_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"no trained base in .*`make bases`"):
        Tiny(size="100k", base_run=str(tmp_path / "none")).base()


def test_a_base_whose_weights_changed_is_refused(tmp_path):
    copy = shutil.copytree(BASES / "30k", tmp_path / "30k")
    weights = copy / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match="its weights are not those of its record"):
        Tiny(size="30k", base_run=str(copy)).base()


def test_pretrained_takes_any_folder_of_transformers(tmp_path):
    folder = shutil.copytree(BASES / "30k" / "model", tmp_path / "model")
    model = Pretrained(path=str(folder))
    assert model.base().kind == "pretrained"
    assert count_params(model.build(1024, 128, 0))[0] == count_params(Tiny(size="30k").build(1024, 128, 0))[0]
    with pytest.raises(UserError, match=r"data\.sequence_length is 999; the model in .* takes at most 128"):
        model.build(1024, 999, 0)
    with pytest.raises(UserError, match="the tokenizer has 5000 tokens but the model"):
        model.build(5000, 128, 0)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UserError, match="loads no pickled weights"):
        Pretrained(path=str(tmp_path)).base()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"size": "20k"}, r"model\.size is 20k\. Did you mean"),
        ({"size": "custom"}, r"model\.size=custom needs model\.width"),
        ({"size": "30k", "width": 4}, r"use model\.size=custom"),
        ({"size": "custom", "width": 9, "depth": 1, "heads": 2, "feed_forward": 8}, "must be a multiple"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        Tiny(**fields)
