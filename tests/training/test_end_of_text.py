"""Where a saved model ends a text."""

import json

import pytest

from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import build_whole
from cptlab.training.run import open_point, train_point


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    overrides = [*study, f"runs={tmp_path_factory.mktemp('base')}", "mixture=general_only", "tokens=64"]
    return train_point(compose_point(overrides), overrides, quiet=True).folder


def test_a_new_model_ends_texts_where_its_tokenizer_does(base):
    for name in ("config.json", "generation_config.json"):
        written = json.loads((base / "model" / name).read_text())
        assert (written["eos_token_id"], written.get("bos_token_id")) == (0, None)


def test_the_configuration_of_a_base_stays_as_it_is(study, base, tmp_path):
    file = base / "model/config.json"
    was = file.read_text()
    overrides = [*study, f"runs={tmp_path}", f"model.base_run={base}"]
    identity = open_point(compose_point(overrides)).run_id
    try:
        file.write_text(json.dumps(json.loads(was) | {"eos_token_id": 2, "bos_token_id": 1}))
        point = open_point(compose_point(overrides))
        assert point.run_id == identity  # of the weights, not of the configuration
        assert build_whole(point).config.eos_token_id == 2
    finally:
        file.write_text(was)
