"""What is refused while training is set up leaves no record; what fails there, and a reader who leaves, are recorded right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.errors import UserError
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training import progress
from cptlab.training.run import train_point

ROOT = Path(__file__).parents[2]
LATE = "cptlab.training.parallel.blocks.blocks_of"  # looked for once Lightning has set up the strategy
RECOMPUTE = "machine.activation_checkpointing=full"


def refuse(model):
    raise UserError("its blocks are in no list")


def test_a_refusal_in_the_set_up_is_one_sentence_and_no_record(study, tmp_path, monkeypatch):
    monkeypatch.setattr(LATE, refuse)
    overrides = [*study, f"runs={tmp_path}", RECOMPUTE]
    with pytest.raises(UserError, match="its blocks are in no list"):
        train_point(compose_point(overrides), overrides, quiet=True)
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]


def test_a_refusal_leaves_the_record_of_the_attempt_before_as_it_was(study, tmp_path, monkeypatch):
    overrides = [*study, f"runs={tmp_path}"]
    failing = compose_point([*overrides, "machine.workers=0"])
    monkeypatch.setattr("cptlab.training.module.CPTModule._check", lambda *_: 1 / 0)
    folder = train_point(failing, overrides, quiet=True).folder
    monkeypatch.undo()
    before = {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}
    assert json.loads(before["done.json"])["status"] == "failed"
    monkeypatch.setattr(LATE, refuse)
    with pytest.raises(UserError):
        train_point(compose_point([*overrides, RECOMPUTE]), overrides, quiet=True)
    assert {file.name: file.read_text() for file in folder.iterdir() if file.is_file()} == before


def test_what_fails_in_the_set_up_is_recorded_as_failed(study, tmp_path, monkeypatch):
    def out_of_memory(model):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(LATE, out_of_memory)
    overrides = [*study, f"runs={tmp_path}", RECOMPUTE]
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "failed"
    assert json.loads((outcome.folder / "done.json").read_text())["reason"].startswith("out of memory; estimated")
    assert (outcome.folder / "run.json").exists()
    assert read_rows(outcome.folder) == []


def refuse_blocks():
    """In a process of several, as it starts."""
    from cptlab.training.parallel import blocks

    blocks.blocks_of = refuse


def test_several_processes_that_refuse_leave_no_record_and_say_it_once(study, processes, tmp_path):
    ranks = processes(
        2, [*study, f"runs={tmp_path}/runs", "machine=cpu_2", "machine.strategy=fsdp"], prepare=refuse_blocks
    )
    assert [each.exit_code() for each in ranks] == [2, 2]
    said = [line for each in ranks for line in each.output().splitlines()]
    assert [line for line in said if "error" in line] == ["error: its blocks are in no list"]
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_point_of_a_multirun_that_is_refused_in_the_set_up_ends_no_other(study, command, tmp_path):
    overrides = [*study, "mixture=ucb", "mixture.interval=0.25", "save_model=false", f"runs={tmp_path}"]
    folder = train_point(compose_point([*overrides, "seed=1"]), overrides, quiet=True).folder
    decisions = folder / "mixture.jsonl"
    decisions.write_text(json.dumps(json.loads(decisions.read_text().splitlines()[0]) | {"step": 6}) + "\n")
    (folder / "done.json").unlink()  # as if it had been killed; its decisions are those of another configuration
    run = command(["-m", *overrides, "seed=0,1,2"])
    code, said = run.exit_code(), run.output()
    assert code == 1, said
    points = [line for line in said.splitlines() if line.startswith("[")]
    assert [line.split()[:2] for line in points] == [["[1/3]", "finished"], ["[2/3]", "REFUSED"], ["[3/3]", "finished"]]
    assert f"REFUSED {folder}: {decisions} has a decision" in points[1]
    assert said.splitlines()[-1] == "2 of 3 points finished or left to others, 1 refused"
    assert "Traceback" not in said


def test_a_reader_who_leaves_does_not_end_the_run(study, tmp_path):
    """`train.py ... 2>&1 | head -1`: progress goes nowhere from then on, and the record is that of a finished run."""
    reader, writer = os.pipe()
    command = [sys.executable, str(ROOT / "train.py"), *study, f"runs={tmp_path}", "evaluation.points=9"]
    run = subprocess.Popen(command, stdout=writer, stderr=writer, env=os.environ | {"PYTHONPATH": str(ROOT)})
    os.close(writer)
    assert os.read(reader, 200)  # a line, whichever
    os.close(reader)
    assert run.wait(timeout=120) == 141  # 128 + SIGPIPE: of a command whose last line nobody read
    ends = [json.loads(file.read_text()) for file in tmp_path.glob("*/done.json")]
    assert [(end["status"], end["reason"]) for end in ends] == [("finished", "")]


def test_lines_after_the_reader_has_left_go_nowhere(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        progress.say("nobody reads this")
        progress.say("nor this")
        assert os.fstat(writer).st_rdev == os.stat(os.devnull).st_rdev
