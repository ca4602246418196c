"""A finished run of ten steps, made once; each test works on its own copy."""

import shutil

import pytest


@pytest.fixture(scope="session")
def trained(study, tmp_path_factory):
    from cptlab.sweeps.preflight import compose_point
    from cptlab.training.run import train_point

    overrides = [*study, f"runs={tmp_path_factory.mktemp('trained')}", "mixture.domain_share=0.25"]
    return train_point(compose_point(overrides), overrides, quiet=True).folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / trained.name)
