"""The studies of language adaptation are real grids of configurations that exist."""

from pathlib import Path

import pytest

from cptlab.launch import CONF
from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import read_study

EXPERIMENTS = CONF.parent / "experiments"
EXPECTED = {
    "dutch": ({"none", "replace"}, 9),
    "vietnamese": ({"none", "extend"}, 9),
    "llama_transfer": ({"none", "extend"}, 18),
    "llama3_syne": ({"none"}, 6),
}


@pytest.mark.parametrize("study", EXPECTED)
def test_every_preset_composes_with_the_vocabularies_that_it_compares(study, monkeypatch):
    monkeypatch.setenv("CPTLAB_CORPORA", "/texts")
    configs = compose_points(read_study(EXPERIMENTS / study, []).points)
    variants, count = EXPECTED[study]
    assert {config.vocab.variant_name for config in configs} == variants
    assert len(configs) == count
    assert {Path(path).parent for config in configs for path in config.data.corpora.values()} == {Path("/texts")}
    assert "Not run yet" in (EXPERIMENTS / study / "README.md").read_text("utf8")
