"""What a user sees who types something wrong: one sentence, exit code 2, no traceback, nothing trained."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(script, *arguments, cwd=ROOT):
    return subprocess.run([sys.executable, str(ROOT / script), *arguments], capture_output=True, text=True, cwd=cwd)


MISTAKES = {
    "mixture.domain_shar=.3": "mixture.domain_shar is no key of train. Did you mean mixture.domain_share?",
    "mixtur=static": "mixtur is no key of train. Did you mean mixture?",
    "mixture=statc": "mixture=statc does not exist. Did you mean static?",
    "mixture.domain_share=1.2": "mixture.domain_share is 1.2; it must lie in [0, 1]",
    "mixture.domain_share=abc": "mixture.domain_share: Value 'abc' of type 'str' could not be converted to Float",
    "+mixture.foo=1": "mixture.foo is no key of Static.",
    "+foo=1": "foo is no key of TrainConfig.",
    "model.size=20k": "model.size is 20k. Did you mean",
    "model.size=10m": "no trained base in experiments/quickstart/bases/10m; `make bases` trains",
    "tokens=5": "tokens is 5, less than one step",
    "lr_schedule.warmup_tokens=1e9": "lr_schedule.warmup_tokens is 1e+09 but the run has only",
    "tracking=wandb tracking.mode=ofline": "tracking.mode is ofline. Did you mean offline?",
    "-m model.base_run= mixture.domain_share=0,2": "mixture.domain_share is 2.0; it must lie in [0, 1] (point 2 of 2",
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_a_mistake_is_one_sentence(arguments, tmp_path):
    done = run("train.py", *arguments.split(), f"runs={tmp_path / 'runs'}")
    assert done.returncode == 2
    assert MISTAKES[arguments] in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_mapping_needs_no_plus(study, tmp_path):
    assert any(override.startswith("data.corpora={") for override in study)
    done = run("train.py", *study, f"runs={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "finished" in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_multirun_shows_one_line_a_point(study, tmp_path):
    done = run("train.py", "-m", *study, f"runs={tmp_path}", "mixture.domain_share=0,1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:5] for line in lines] == ["[1/2]", "[2/2]"]
    assert not (ROOT / "multirun.yaml").exists()


def test_offline_tracking_needs_no_network(study, tmp_path):
    tracking = ["tracking=wandb", "tracking.mode=offline", f"tracking.folder={tmp_path}"]
    done = run("train.py", *study, f"runs={tmp_path}", *tracking)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_help_gives_every_variant_and_every_chosen_key_its_meaning():
    shown = run("train.py", "--help", "mixture=ramp").stdout
    assert re.search(r"^mixture=\n(  .*\n)*  ramp +The new domain's share moves", shown, re.M)
    assert re.search(r"^mixture.start=0.1 +share of the new domain at `begin`", shown, re.M)
    assert re.search(r"^machine.devices=1 +processes \(GPUs\) on each node$", shown, re.M)
    assert "compute_optimal" not in shown  # a question of fit_law.py
    keys = shown.partition("Keys of")[2].partition("\n\n")[2].replace("\n   ", "   ").splitlines()
    assert len(keys) > 60
    assert not [line for line in keys if not re.match(r"[\w.]+=\S* +\S", line.replace(", ", ","))]
    wrong = run("train.py", "--help", "mixture=rampe")
    assert wrong.returncode == 2
    assert "mixture=rampe does not exist. Did you mean ramp?" in wrong.stderr


def test_every_variant_has_a_line_in_the_help():
    for name in ("train.py", "fit_law.py"):
        for line in run(name, "--help").stdout.partition("Keys of")[0].splitlines():
            assert not re.fullmatch(r"  \w+ *", line), line


def test_the_configuration_is_shown():
    assert "domain_share: 0.5" in run("train.py", "--cfg", "job").stdout
