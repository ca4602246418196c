"""A SLURM of one node, where its packages are installed and the tests may start its daemons."""

import pytest
from single_node import SingleNode, missing


@pytest.fixture(scope="session")
def slurm():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="no submitit (the extra `sweep`)")
    if reason := missing():
        pytest.skip(reason)
    with SingleNode(cpus=2, kill_wait=2) as node:
        yield node
