"""A checkpoint counts when it is whole: marker, names, sizes, checksums."""

import json
import shutil

import pytest

from cptlab.training.checkpoint import folder


def make(run, step, text="weights"):
    partial = folder.temporary_name(run, step)
    partial.mkdir(parents=True)
    (partial / "state.json").write_text(json.dumps({"step": step}))
    (partial / "shards").mkdir()
    (partial / "shards" / "one").write_text(text)
    return folder.commit(run, step, folder.checksums(partial, folder.files_in(partial)))


def newest(run):
    said = []
    path = folder.newest_valid(run, said.append)
    return (path and path.name), said


def test_the_newest_is_the_largest_step_not_the_last_name(tmp_path):
    for step in (9, 100, 20):
        make(tmp_path, step)
    assert newest(tmp_path) == ("step_100", [])


def test_the_checksum_is_sha256_of_the_bytes(tmp_path):
    (tmp_path / "abc").write_text("abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, example B.1
    assert folder.checksum(tmp_path / "abc") == {"sha256": known, "bytes": 3}


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda path: (path / "complete.json").unlink(), "has no commit marker"),
        (lambda path: (path / "complete.json").write_text('{"step": 2, "fi'), "marker cannot be read"),
        (lambda path: (path / "shards" / "one").unlink(), "shards/one is missing"),
        (lambda path: (path / "shards" / "one").write_text("weight"), "has not its recorded size"),
        (lambda path: (path / "shards" / "one").write_text("weighty"), "has not its recorded checksum"),
    ],
)
def test_a_damaged_checkpoint_is_absent_with_its_reason_and_the_one_before_is_used(tmp_path, damage, why):
    make(tmp_path, 1)
    damage(make(tmp_path, 2))
    name, [said] = newest(tmp_path)
    assert name == "step_1"
    assert "step_2 is treated as absent" in said
    assert why in said


def test_what_was_never_renamed_is_no_checkpoint(tmp_path):
    folder.temporary_name(tmp_path, 5).mkdir(parents=True)
    assert newest(tmp_path) == (None, [])


def test_a_step_written_again_replaces_its_damaged_self(tmp_path):
    (make(tmp_path, 2, "old") / "complete.json").unlink()
    make(tmp_path, 2, "new")
    assert newest(tmp_path) == ("step_2", [])
    assert (folder.final_name(tmp_path, 2) / "shards" / "one").read_text() == "new"
    assert [path.name for path in folder.home(tmp_path).iterdir()] == ["step_2"]


def test_the_last_few_stay_and_what_is_newer_than_the_one_just_written_was_not_valid(tmp_path):
    for step in (1, 2, 3, 9):
        make(tmp_path, step)
    folder.temporary_name(tmp_path, 7).mkdir()
    folder.prune(tmp_path, 3, keep=2)
    assert sorted(path.name for path in folder.home(tmp_path).iterdir()) == ["step_2", "step_3"]


def test_a_copy_of_a_checkpoint_is_as_good_as_it(tmp_path):
    shutil.copytree(make(tmp_path / "a", 4), folder.final_name(tmp_path / "b", 4))
    assert newest(tmp_path / "b") == ("step_4", [])
