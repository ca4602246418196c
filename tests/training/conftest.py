"""One server process with the libraries loaded; from it come those that run train.py."""

import multiprocessing

import pytest
from started_runs import Command

from cptlab.training.parallel.launch import free_port


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


@pytest.fixture
def processes(command):
    """Start train.py as torchrun starts it, each process forked from one that has the libraries; returns them."""

    def start(number, overrides, **more):
        shared = {
            "WORLD_SIZE": str(number), "LOCAL_WORLD_SIZE": str(number), "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(free_port()), "TORCHELASTIC_RUN_ID": "test",
        }  # fmt: skip
        own = [*overrides, f"machine.devices={number}"]
        ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(number)]
        return [command(own, variables=shared | rank, **more) for rank in ranks]

    return start


@pytest.fixture
def together(processes):
    """As `processes`; all must end well. Their outputs."""

    def run(number, *overrides):
        started = processes(number, list(overrides))
        codes = [each.exit_code() for each in started]
        assert codes == [0] * number, "".join(each.output() for each in started)
        return "".join(each.output() for each in started)

    return run
