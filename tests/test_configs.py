"""Every shipped YAML file composes, and every registered variant has one."""

from pathlib import Path

import pytest
import yaml

from cptlab.launch import CONF, options
from cptlab.sweeps.preflight import compose_point
from cptlab.variants import discover

TRAIN_GROUPS = [
    "model",
    "vocab",
    "data",
    "selection",
    "mixture",
    "replay",
    "lr_schedule",
    "objective",
    "optimizer",
    "adapter",
    "regularizer",
    "sparsity",
    "machine",
    "tracking",
]
NEEDS = {
    "model=pretrained": ["model.path=x"],
    "vocab=lep": ["vocab.base=x", "vocab.adapted=x"],
    "selection=perplexity": ["selection.model=x"],
    "selection=dsir": ["selection.target=x"],
    "selection=got_d": ["selection.target=x"],
    "regularizer=kl_to_base": ["replay=fixed"],
}
CHOICES = [f"{group}={name}" for group in TRAIN_GROUPS for name in options(group)]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_training_variant_composes_with_the_defaults(choice):
    config = compose_point([choice, *NEEDS.get(choice, [])])
    group = choice.split("=")[0]
    assert getattr(config, group).group == group


@pytest.mark.parametrize("file", sorted(CONF.glob("*/*.yaml")), ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_every_yaml_says_what_it_is_and_opens_with_its_schema(file: Path):
    text = file.read_text("utf8")
    assert text.startswith("# ")
    assert yaml.safe_load(text)["defaults"][0].startswith(f"/schema/{file.parent.name}/")


def test_every_variant_is_reachable_from_the_command_line():
    for group, classes in discover().items():
        schemas = {yaml.safe_load(f.read_text("utf8"))["defaults"][0].split("/")[3].split("@")[0] for f in (CONF / group).glob("*.yaml")}  # fmt: skip
        assert schemas == set(classes), group


def test_the_quick_starts_grid_is_real():
    from cptlab.sweeps.preflight import compose_points
    from cptlab.sweeps.study import read_study

    configs = compose_points(read_study(CONF.parent / "experiments/quickstart", []).points)
    shares = {config.mixture.domain_share for config in configs}
    sizes = {config.model.size for config in configs}
    assert len(sizes) == 3
    assert len(shares) >= 6
    assert {config.lr_schedule.is_constant for config in configs} == {True}
