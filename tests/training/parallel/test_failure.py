"""The reason of the process that failed first, in what the processes of a run keep together."""

import pytest
import torch.distributed as dist

from cptlab.training.parallel.failure import KEY, first_failure


@pytest.fixture
def store():
    """Of a process group of this process alone, rank 0."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield dist.distributed_c10d._get_default_store()
    dist.destroy_process_group()


def test_without_other_processes_a_reason_is_ones_own():
    assert first_failure("closed", "a") == "closed"


def test_the_reason_of_another_process_goes_before_ones_own_in_the_same_run_alone(store):
    store.set(f"{KEY}/a", "1: out of memory")
    assert first_failure("connection closed", "a") == "process 1: out of memory"
    assert first_failure("connection closed", "b") == "connection closed"  # the next point of a multirun
    assert store.get(f"{KEY}/b") == b"0: connection closed"
    assert first_failure("later", "b") == "later"  # its own, told twice
