"""What srun tells a process is read of the step, not of the job that the step is a part of."""

import pytest
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

from cptlab.errors import UserError
from cptlab.training.machine import Machine
from cptlab.training.parallel.launch import check_processes, joined_world, must_start
from cptlab.training.parallel.strategy import plugins_of

JOB = {"SLURM_JOB_ID": "1234567", "SLURM_JOB_NAME": "night", "SLURM_NTASKS": "8", "SLURM_NNODES": "2",
       "SLURM_NODELIST": "n[1-2]", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}  # fmt: skip


@pytest.fixture
def srun(monkeypatch):
    """As in a task of `srun -n tasks` within a job of 8 tasks on 2 machines."""

    def within(tasks, **more):
        for name in ("RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR", "SLURM_NTASKS_PER_NODE"):
            monkeypatch.delenv(name, raising=False)
        step = {"SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_STEP_ID": "3", "SLURM_STEP_NODELIST": "n2"}
        for name, value in (JOB | step | more).items():
            monkeypatch.setenv(name, value)

    return within


def test_one_task_of_a_large_job_waits_for_no_other(srun):
    srun(1)
    assert joined_world() == 1
    check_processes(Machine(), 4)
    [environment] = plugins_of(Machine())
    assert isinstance(environment, LightningEnvironment)
    assert environment.world_size() == 1


def test_one_task_starts_the_processes_of_its_machine_itself(srun):
    srun(1)
    pair = Machine(devices=2, strategy="ddp")
    check_processes(pair, 4)
    assert must_start(pair)


def test_the_tasks_of_a_step_are_a_world_of_their_own(srun):
    srun(2, SLURM_PROCID="1", SLURM_LOCALID="1")
    pair = Machine(devices=2, strategy="ddp")
    check_processes(pair, 4)
    [environment] = plugins_of(pair)
    assert isinstance(environment, SLURMEnvironment)
    environment.validate_settings(num_devices=2, num_nodes=1)  # Lightning's own check
    assert (environment.world_size(), environment.global_rank(), environment.main_address) == (2, 1, "n2")


def test_two_steps_of_a_job_meet_at_different_ports(srun):
    ports = []
    for step in ("3", "4"):
        srun(2, SLURM_STEP_ID=step)
        ports.append(plugins_of(Machine(devices=2, strategy="ddp"))[0].main_port)
    assert ports[0] != ports[1]
    assert all(15000 <= port < 20000 for port in ports)


def test_as_many_tasks_as_the_machine_has_processes_are_asked_for(srun):
    srun(8)
    with pytest.raises(UserError, match=r"8 processes were started but machine\.devices x machine\.nodes is 2 x 1"):
        check_processes(Machine(devices=2, strategy="ddp"), 8)
