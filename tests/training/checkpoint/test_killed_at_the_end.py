"""A run killed after its last step is never trained again: the next attempt finishes writing."""

import os
import signal

import pytest
from safetensors.torch import load_file
from started_runs import done, numbers

from cptlab.records.run import RunFolder, read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.module import CPTModule
from cptlab.training.run import train_point

STEPS = 40


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def at_the_last_rows(how):
    """SIGKILL when the rows of the last step are to be appended."""
    append = RunFolder.append

    def patched(self, rows):
        if rows[0].step < STEPS:
            append(self, rows)
        else:
            how(self, rows, append)

    RunFolder.append = patched


def before_the_last_rows():
    at_the_last_rows(die)


def within_the_last_rows():
    def half(folder, rows, append):
        append(folder, rows)
        file = folder.path / "evals.jsonl"
        os.truncate(file, file.stat().st_size - 100)
        die()

    at_the_last_rows(half)


def after_the_last_rows():
    at_the_last_rows(lambda folder, rows, append: (append(folder, rows), die()))


def after_the_weights():
    RunFolder.end = die


@pytest.fixture(scope="module")
def overrides(study):
    # Nothing is due before the end: the clock is that of runs of minutes.
    return [*study, f"tokens={64 * STEPS}", "optimizer.peak_lr=1e-2", "mixture=ucb", "mixture.interval=0.3"]


@pytest.fixture(scope="module")
def whole(overrides, tmp_path_factory):
    own = [*overrides, f"runs={tmp_path_factory.mktemp('whole')}"]
    return train_point(compose_point(own), own, quiet=True).folder


@pytest.mark.parametrize(
    ("moment", "attempts"),
    [(before_the_last_rows, {2}), (within_the_last_rows, {1, 2}), (after_the_last_rows, {1}), (after_the_weights, {1})],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_left_to_write_is_written_and_nothing_is_trained(
    overrides, whole, tmp_path, command, monkeypatch, moment, attempts
):  # fmt: skip
    own = [*overrides, f"runs={tmp_path}"]
    killed = command(own, prepare=moment)
    assert killed.exit_code() == -signal.SIGKILL, killed.output()
    folder = killed.folder()
    assert not (folder / "done.json").exists()
    monkeypatch.setattr(CPTModule, "training_step", lambda *_: pytest.fail("it trained a step"))
    outcome = train_point(compose_point(own), own, quiet=True)
    assert outcome.status == "finished", outcome.reason
    assert {row["attempt"] for row in read_rows(folder) if row["step"] == STEPS} == attempts
    assert numbers(folder) == numbers(whole)
    assert done(folder)["of_attempt"]["from_step"] == STEPS
    assert outcome.losses == done(folder)["losses"] == done(whole)["losses"]
    assert done(folder)["weights_sha256"] == done(whole)["weights_sha256"]
    ours, theirs = (load_file(each / "model" / "model.safetensors") for each in (folder, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    assert not (folder / "checkpoints").exists()


@pytest.mark.parametrize("optimizer", ["schedule_free", "galore"])
def test_averages_and_projections_are_what_they_were_at_the_end(study, tmp_path, command, optimizer):
    own = [*study, f"tokens={64 * STEPS}", f"optimizer={optimizer}", "optimizer.peak_lr=1e-2"]
    whole = train_point(compose_point(own), own, quiet=True).folder
    own.append(f"runs={tmp_path}")
    killed = command(own, prepare=after_the_weights)
    assert killed.exit_code() == -signal.SIGKILL, killed.output()
    assert train_point(compose_point(own), own, quiet=True).status == "finished"
    assert numbers(killed.folder()) == numbers(whole)
    assert done(killed.folder())["weights_sha256"] == done(whole)["weights_sha256"]
