import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.cli import main
from cptlab.doctor import devices, packages, places
from cptlab.doctor.finding import Finding, lines
from cptlab.sweeps.preflight import compose_point
from cptlab.training.tracking import NoTracking, WandB

ROOT = Path(__file__).parents[2]


def test_it_says_that_training_can_start_here_and_ends_with_zero(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cptlab", "doctor", f"runs={tmp_path}"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "training can start"
    words = {line.split()[1] for line in done.stdout.splitlines() if len(line.split()) > 1}
    assert {"python", "torch", "transformers", "cores", "memory", "devices", "threads", "peak", "precision",
            "attention", "processes", "disk", "checkpoints", "wandb"} <= words  # fmt: skip
    assert "fp32 (auto)" in done.stdout


def test_a_run_that_cannot_start_ends_with_one_and_the_mend(capsys, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as exit:
        main(["doctor", "machine=gpu_1", f"runs={tmp_path}"])
    assert exit.value.code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("training cannot start: devices: torch sees no GPU: install a CUDA build")


def test_a_wrong_override_is_one_sentence(capsys):
    with pytest.raises(SystemExit) as exit:
        main(["doctor", "machine=cpu_11"])
    assert exit.value.code == 2
    assert capsys.readouterr().err.startswith("error: machine=cpu_11 does not exist. Did you mean cpu_1?")


def test_a_missing_core_package_stops_before_anything_of_it_is_imported(capsys, monkeypatch):
    found = packages.installed
    monkeypatch.setattr(packages, "installed", lambda name: "" if name == "torch" else found(name))
    with pytest.raises(SystemExit) as exit:
        main(["doctor"])
    out = capsys.readouterr().out
    assert exit.value.code == 1
    assert "pip install 'torch>=" in out
    assert "devices" not in out


@pytest.mark.parametrize(
    ("needed", "tested", "mark"),
    [(">=1", "", "ok"), (">=999", "", "STOP"), (">=1", "0.5", "note"), (">=1,<2", "", "STOP")],
)
def test_a_version_is_held_against_what_is_needed_and_what_was_tested(needed, tested, mark, monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda name: "2.13.0+cpu")
    assert packages.checked("torch", needed, tested).mark == mark


def test_a_build_of_the_tested_version_is_the_tested_version(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda name: "2.13.0+cpu")
    assert packages.checked("torch", ">=2.11", "2.13.0").mark == "ok"


def test_requirements_and_tested_versions_are_read_from_the_sources(tmp_path):
    assert packages.requirements(ROOT)["torch"].startswith(">=")
    assert "torch" in packages.tested_versions(ROOT)
    (tmp_path / "constraints.txt").write_text("# tested\nJinja2==3.1.6\nruamel.yaml==0.1 ; extra\nloose>=2\n")
    assert packages.tested_versions(tmp_path) == {"jinja2": "3.1.6", "ruamel-yaml": "0.1"}
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["a>=1,<2", "b[c]>=3"]\n')
    assert {name: set(spec.split(",")) for name, spec in packages.requirements(tmp_path).items()} == {
        "a": {">=1", "<2"}, "b": {">=3"},
    }  # fmt: skip


def test_a_malicious_release_is_below_what_is_needed():
    from packaging.specifiers import SpecifierSet

    needed = SpecifierSet(packages.requirements(ROOT)["lightning"])
    assert [version in needed for version in ("2.6.2", "2.6.3", "2.6.4")] == [False, False, True]


def test_more_gpus_than_there_are_is_refused_with_their_number(monkeypatch):
    import torch

    machine = compose_point([]).machine
    for name, value in (("accelerator", "gpu"), ("devices", 4)):
        object.__setattr__(machine, name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda i: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: type("P", (), {"total_memory": 140 * 2**30}))
    found = devices.devices(machine)
    assert found[0].found == "NVIDIA H200 140.0 GiB"
    assert found[0].stop == "machine.devices is 4; set machine.devices=1"


def test_processes_are_told_with_the_backend_that_they_talk_through(monkeypatch):
    import torch.distributed as dist

    assert devices.processes(compose_point([]).machine).found.startswith("1, alone; this torch has gloo")
    two = compose_point(["machine=cpu_2"]).machine
    assert devices.processes(two).found == "2 on one machine, ddp over gloo"
    monkeypatch.setattr(dist, "is_gloo_available", lambda: False)
    assert devices.processes(two).stop.startswith("this torch has no gloo")
    monkeypatch.setattr(dist, "is_nccl_available", lambda: False)
    assert devices.processes(compose_point(["machine=fsdp"]).machine).stop.startswith("this torch has no nccl")


def test_checkpoints_are_told_as_they_are_set():
    default = places.checkpoints(compose_point([]).checkpoint).found
    assert default == "every 30 min, at SIGTERM, SIGUSR1 and Ctrl-C; kind auto, the last 2 stay"
    other = compose_point(["checkpoint.every_minutes=0", "checkpoint.every_steps=7", "checkpoint.keep=1"]).checkpoint
    assert (
        places.checkpoints(other).found == "every 7 steps, at SIGTERM, SIGUSR1 and Ctrl-C; kind auto, the last 1 stay"
    )


def test_an_attention_that_cannot_work_stops_with_what_would():
    machine = compose_point([]).machine
    object.__setattr__(machine, "attention", "flex")
    assert "auto would take sdpa" in devices.attention(machine, "cpu").stop


def test_an_unwritable_or_full_disk_stops(tmp_path, monkeypatch):
    assert places.disk(tmp_path / "not" / "yet").mark in ("ok", "note")
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").write_text("")
    assert "cannot be written to" in places.disk(tmp_path / "file" / "runs").stop
    usage = type("Usage", (), {"free": 10 * 2**20})
    monkeypatch.setattr(places.shutil, "disk_usage", lambda place: usage)
    assert places.disk(tmp_path).stop.startswith("make room")


def test_a_wandb_key_is_never_shown(monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "secret-key")
    monkeypatch.setenv("WANDB_MODE", "offline")
    found = places.wandb(WandB())
    assert found.found == "mode online, WANDB_MODE offline, WANDB_API_KEY set"
    monkeypatch.delenv("WANDB_API_KEY")
    assert "tracking.mode=offline" in places.wandb(WandB()).note
    assert places.wandb(NoTracking()).found == "not used; tracking=wandb would"


def test_memory_is_what_the_system_says():
    import psutil

    found = devices.available_memory()
    assert found is None or abs(found - psutil.virtual_memory().available) < 2**30
    assert devices.cores() >= 1


def test_lines_are_aligned_and_end_with_the_mend():
    shown = lines([Finding("a", "1"), Finding("long", "2", note="n"), Finding("b", "3", note="n", stop="s")])
    assert shown.splitlines() == ["ok    a     1", "note  long  2  -> n", "STOP  b     3  -> s"]
