"""A command that needs several processes starts them itself, joins those of torchrun, refuses what does not fit."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from outside import ROOT, environment

from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_point
from cptlab.training.machine import Machine
from cptlab.training.parallel.launch import check_processes, joined_world, start_processes
from cptlab.training.run import open_point, train_point


def command(*arguments):
    return [sys.executable, str(ROOT / "train.py"), *arguments]


def weights(folder):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    return dict(model.named_parameters())


def test_cpu_2_just_works_and_its_sharded_model_is_a_base_for_anyone(study, together, tmp_path):
    more = [f"runs={tmp_path / 'fsdp'}", "machine=cpu_2", "machine.strategy=fsdp"]
    done = subprocess.run(command(*study, *more), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["finished"]
    together(2, *study, f"runs={tmp_path / 'ddp'}", "machine=cpu_2")
    overrides = [*study, f"runs={tmp_path / 'one'}"]
    folders = [train_point(compose_point(overrides), overrides, quiet=True).folder]
    folders += [next(file.parent for file in (tmp_path / name).glob("*/run.json")) for name in ("ddp", "fsdp")]
    worlds = [json.loads((folder / "run.json").read_text())["world_size"] for folder in folders]
    assert worlds == [1, 2, 2]
    alone, *others = [weights(folder) for folder in folders]
    for other in others:
        assert other.keys() == alone.keys()
        for name, tensor in alone.items():
            torch.testing.assert_close(other[name], tensor, rtol=0, atol=1e-6)


def test_a_failure_of_the_processes_is_one_line_and_one_exit_code(study, tmp_path):
    more = [f"runs={tmp_path}", "machine=cpu_2", "optimizer.peak_lr=1e30", "optimizer.clip=0"]
    done = subprocess.run(command(*study, *more), env=environment(), capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("\n") == 1
    assert "FAILED" in done.stdout
    assert "Traceback" not in done.stderr
    ends = [json.loads(file.read_text())["status"] for file in tmp_path.glob("*/done.json")]
    assert ends == ["failed"]


def test_ctrl_c_reaches_every_process_and_the_record(study, tmp_path):
    long = subprocess.Popen(
        command(*study, f"runs={tmp_path}", "machine=cpu_2", "tokens=6.4e6"),
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("*/evals.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    long.send_signal(signal.SIGINT)
    errors = long.communicate(timeout=60)[1]
    assert long.returncode == 130, errors
    assert errors.count("interrupted;") == 1
    assert [json.loads(file.read_text())["status"] for file in tmp_path.glob("*/done.json")] == ["interrupted"]


def test_a_process_that_is_killed_ends_the_others_and_is_recorded(study, tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys, time\n"
        "runs = next(a.split('=')[1] for a in reversed(sys.argv) if a.startswith('runs='))\n"
        "os.makedirs(f'{runs}/' + os.environ['CPTLAB_RUN_ID'], exist_ok=True)\n"
        "if os.environ['RANK'] == '1': os.kill(os.getpid(), 9)\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setattr("cptlab.training.parallel.launch.TRAIN", script)
    monkeypatch.setattr("cptlab.training.parallel.launch.GRACE", 0.2)
    overrides = [*study, f"runs={tmp_path}", "machine=cpu_2"]
    outcome = train_point(compose_point(overrides), overrides)
    assert outcome.status == "failed"
    assert "SIGKILL" in outcome.reason
    assert json.loads((outcome.folder / "done.json").read_text())["reason"] == outcome.reason


def test_the_processes_say_why_they_refuse(tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.write_text(
        "from cptlab.launch import refuse\nfrom cptlab.errors import UserError\nrefuse(UserError('no such thing'))\n"
    )
    monkeypatch.setattr("cptlab.training.parallel.launch.TRAIN", script)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with pytest.raises(UserError, match="no such thing"):
        start_processes(Machine(devices=2, strategy="ddp"), [], "abc", quiet=True)


def test_another_point_than_the_starting_process_meant_is_refused(study, tmp_path, monkeypatch):
    monkeypatch.setenv("CPTLAB_RUN_ID", "000000000000")
    with pytest.raises(UserError, match="of run 000000000000 compose"):
        train_point(compose_point([*study, f"runs={tmp_path}"]), [])


def test_processes_that_are_not_those_of_the_machine_are_refused(monkeypatch):
    pair = Machine(devices=2, strategy="ddp")
    check_processes(pair, 4)
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert joined_world() == 4
    with pytest.raises(UserError, match=r"4 processes were started but machine.devices x machine.nodes is 2 x 1"):
        check_processes(pair, 4)
    with pytest.raises(UserError, match="4 processes were started"):
        check_processes(Machine(), 4)  # else the same run would be trained four times
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    check_processes(pair, 4)


def test_the_last_lines_of_torchruns_own_traceback_are_the_sentence(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    run = [*torchrun, *command("mixture.domain_share=1.2", f"runs={tmp_path}")[1:]]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    sentence = "error: mixture.domain_share is 1.2; it must lie in [0, 1]"
    lines = [line.strip() for line in done.stderr.splitlines()]
    assert lines.count(sentence) == 1  # of two processes one speaks
    cause = lines.index("Root Cause (first observed failure):")
    assert f"traceback : {sentence}" in lines[cause:]
    assert len(lines) - cause < 12


def test_nodes_are_not_started_from_here():
    with pytest.raises(UserError, match="torchrun --nnodes 2 --nproc-per-node 8"):
        check_processes(Machine(devices=8, nodes=2, strategy="hsdp"), 16)


def test_rows_that_the_processes_cannot_share_are_refused_at_preflight(study):
    with pytest.raises(UserError, match="rows_per_step is 5, which 2 processes cannot share evenly; use 4 or 6"):
        open_point(compose_point([*study, "machine=cpu_2", "rows_per_step=5"]))
    check_processes(Machine(devices=4, strategy="fsdp", tensor_parallel=4), 5)  # all four read the same rows


@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_a_signal_before_the_first_step_asks_to_be_queued_again_and_records_no_failure(study, tmp_path, seconds):
    """While Python starts, and while the processes that it started load torch."""
    early = subprocess.Popen(
        command(*study, f"runs={tmp_path / 'runs'}", "machine=cpu_2", "tokens=6.4e6"),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    time.sleep(seconds)
    early.send_signal(signal.SIGTERM)
    said = early.communicate(timeout=60)[0]
    assert early.returncode == 75, said
    assert "FAILED" not in said
    ends = [json.loads(file.read_text())["status"] for file in (tmp_path / "runs").glob("*/done.json")]
    assert "failed" not in ends


SHORT_OF_MEMORY = f"""
import os, runpy, sys, torch
from cptlab.training.module import CPTModule
step = CPTModule.training_step
def short(self, batch, index):
    if os.environ["RANK"] == "1" and self.step == 3:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return step(self, batch, index)
CPTModule.training_step = short
runpy.run_path({str(ROOT / "train.py")!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_the_reason_of_another_process_than_the_first_is_said_and_recorded(study, tmp_path):
    """To the first it looks like a connection that closed. Under torchrun, as no process of ours started them."""
    (script := tmp_path / "short_of_memory.py").write_text(SHORT_OF_MEMORY)
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    overrides = [*study, f"runs={tmp_path / 'runs'}", "machine=cpu_2"]
    done = subprocess.run([sys.executable, *run, *overrides], env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "process 1: out of memory; estimated for one process: " in done.stderr
    assert "FAILED" in done.stdout
    (ended,) = (tmp_path / "runs").glob("*/done.json")
    assert json.loads(ended.read_text())["reason"].startswith("process 1: out of memory; estimated for one process: ")


@pytest.mark.slow
def test_processes_that_no_longer_agree_begin_no_further_point(study, tmp_path):
    """One of them fails alone while the other waits for it: together they could not train the next point."""
    (script := tmp_path / "short_of_memory.py").write_text(SHORT_OF_MEMORY)
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), "-m"]
    command = [*run, *study, f"runs={tmp_path / 'runs'}", f"hydra.sweep.dir={tmp_path / 'hydra'}", "machine=cpu_2"]
    done = subprocess.run([*command, "seed=0,1"], env=environment(), capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert "process 1: out of memory; estimated for one process: " in done.stderr
    ends = [json.loads(file.read_text())["status"] for file in (tmp_path / "runs").glob("*/done.json")]
    assert "finished" not in ends
