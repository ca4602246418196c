"""One server process with the libraries loaded; from it come those that run train.py."""

import multiprocessing

import pytest
from started_runs import Command


@pytest.fixture(scope="session")
def server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["lightning", "transformers.models.llama.modeling_llama", "torch.distributed.checkpoint", "hydra",
         "cptlab.training.run", "cptlab.training.trainer", "cptlab.training.checkpoint.callback"]
    )  # fmt: skip
    return context


@pytest.fixture
def command(server, tmp_path):
    """Starts train.py with overrides; what still runs at the end of the test is killed."""
    started = []

    def start(overrides, **more):
        started.append(Command(server, overrides, tmp_path / f"log{len(started)}.txt", **more))
        return started[-1]

    yield start
    for each in started:
        if each.process.is_alive():
            each.process.kill()
        each.process.join()
