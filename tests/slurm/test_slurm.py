"""The real SLURM, on one node: a grid through submitit is preempted, cancelled, run again; srun starts processes."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cptlab.records.run import read_rows
from cptlab.records.run_folders import last_attempts
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import train_point

ROOT = Path(__file__).parents[2]
LONG = ["tokens=25600", "evaluation.points=9"]  # 400 steps; the signal alone writes checkpoints
# A step of the processes that start while a file is there takes 50 ms: SLURM needs seconds to end what it preempts.
SLOW = """
import os, time
if os.path.exists({file!r}):
    from cptlab.training.progress import Progress
    update = Progress.update
    def slowly(*arguments):
        time.sleep(0.05)
        return update(*arguments)
    Progress.update = slowly
"""
GRID = ["hydra/launcher=slurm", "hydra.launcher.partition=main"]


@pytest.fixture
def started(slurm):
    """Starts a command inside SLURM; what still runs at the end of the test is killed."""
    processes = []

    def start(*arguments, first=ROOT):
        environment = slurm.environment | {"PYTHONPATH": f"{first}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes.append(subprocess.Popen([*arguments], cwd=ROOT, env=environment, **pipe))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
    slurm.run("scancel", "--user", "root")


@pytest.fixture
def sweep(started):
    return lambda *overrides, **more: started(sys.executable, "train.py", "-m", *GRID, *overrides, **more)


def numbers(folder):
    """What readers see of a record, without clocks."""
    rows = sorted(last_attempts(read_rows(folder)), key=lambda row: (row["step"], row["domain"], row["split"]))
    return [{key: value for key, value in row.items() if key not in ("seconds", "attempt")} for row in rows]


def done(folder):
    return json.loads((folder / "done.json").read_text())


def wait_for(found, driver, seconds=180):
    end = time.monotonic() + seconds
    while not found():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.1)


def running(node):
    return [line for line in node.run("squeue", "-h", "-t", "running", "-o", "%i").split() if "_" in line]


@pytest.mark.slow
def test_a_preempted_grid_ends_as_if_it_had_not_been(slurm, sweep, study, tmp_path):
    overrides = [*study, *LONG]
    runs, slow = tmp_path / "runs", tmp_path / "slow"
    slow.touch()
    (tmp_path / "sitecustomize.py").write_text(SLOW.format(file=str(slow)))
    driver = sweep(*overrides, "mixture.domain_share=0.25,0.5", f"runs={runs}", first=tmp_path)
    wait_for(lambda: sum(any(row["step"] for row in read_rows(path)) for path in runs.glob("*")) == 2, driver)
    slurm.run("sbatch", "-p", "high", "-n", "1", "-o", "/dev/null", "--wrap", "sleep 1")  # it preempts one of the two
    wait_for(lambda: len(running(slurm)) == 1, driver)
    slurm.run("scontrol", "requeue", *running(slurm))
    slow.unlink()
    undisturbed = []  # trained while SLURM waits before it starts a job again
    for share in (0.25, 0.5):
        point = [*overrides, f"mixture.domain_share={share}", f"runs={tmp_path / 'whole'}"]
        undisturbed.append(train_point(compose_point(point), point, quiet=True).folder)
    said = driver.communicate(timeout=300)[0]
    assert driver.returncode == 0, said
    assert said.count("] finished ") == 2, said
    logs = "".join(log.read_text() for log in runs.glob(".submitit/*/*.err"))
    for whole in undisturbed:
        folder = runs / whole.name  # the same run_id
        assert done(folder)["attempt"] == 2
        saved = {int(step) for step in re.findall(rf"{whole.name}: SIGTERM at step (\d+) of 400; saved", logs)}
        # From where the signal met it: SLURM may send it a second time before the job is gone, some steps on.
        assert max(saved) == done(folder)["of_attempt"]["from_step"]
        assert done(folder)["losses"] == done(whole)["losses"]
        assert numbers(folder) == numbers(whole)


def test_finished_points_are_not_handed_in_and_a_cancelled_one_is_told(slurm, sweep, study, tmp_path):
    runs = tmp_path / "runs"
    point = [*study, f"runs={runs}", "mixture.domain_share=0.25"]
    train_point(compose_point(point), point, quiet=True)
    driver = sweep(*study, f"runs={runs}", "mixture.domain_share=0.25,0.5", "hydra.launcher.cpus_per_task=2")
    wait_for(lambda: "cptlab" in slurm.run("squeue", "-h", "-o", "%j"), driver)
    (job,) = slurm.run("squeue", "-h", "-n", "cptlab", "-o", "%i").split()
    slurm.run("scancel", job)
    said = driver.communicate(timeout=120)[0]
    assert driver.returncode == 1, said
    assert "[1/2] skipped" in said
    assert f"handed in 1 jobs ({job})" in said
    assert "FAILED" in said
    assert f"job {job} CANCELLED" in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_srun_starts_the_processes_of_a_point(started, study, tmp_path):
    two = [*study, "machine=cpu_2", f"runs={tmp_path / 'two'}"]
    run = started("srun", "--ntasks-per-node=2", "-n", "2", sys.executable, "train.py", *two)
    said = run.communicate(timeout=300)[0]
    assert run.returncode == 0, said
    assert said.count("finished") == 1, said
    one = train_point(compose_point([*study, f"runs={tmp_path / 'one'}"]), study, quiet=True).folder
    (folder,) = (tmp_path / "two").glob("*/done.json")
    losses = done(folder.parent)["losses"]
    assert losses == pytest.approx(done(one)["losses"], abs=1e-5)


def test_without_slurm_the_launcher_is_refused_before_anything_starts(study, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    command = [sys.executable, "train.py", "-m", *GRID, *study, f"runs={tmp_path}", "seed=0,1"]
    environment = os.environ | {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 2, run.stdout
    assert run.stderr.startswith("error: hydra/launcher=slurm needs SLURM's sbatch, srun, squeue, scontrol on PATH")
    assert not list(tmp_path.iterdir())


def test_a_study_file_is_handed_in_point_by_point(sweep, study, tmp_path):
    (tmp_path / "grid.yaml").write_text("axes: {mixture.domain_share: [0.25, 0.5]}\n")
    driver = sweep("hydra/sweeper=study", f"hydra.sweeper.file={tmp_path}", *study, f"runs={tmp_path / 'runs'}")
    said = driver.communicate(timeout=300)[0]
    assert driver.returncode == 0, said
    assert "handed in 2 jobs" in said
    assert said.count("] finished ") == 2, said
    assert len(list((tmp_path / "runs").glob("*/done.json"))) == 2
