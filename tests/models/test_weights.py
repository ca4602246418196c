"""Large weights are read once, by one process; a change of them is always seen."""

import hashlib
import multiprocessing
import os
import time

import pytest

from cptlab.errors import UserError
from cptlab.models import weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CPTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "SMALL", 4)
    (tmp_path / "model").mkdir()
    for name, text in (("b", b"def"), ("a", b"abc")):
        put(tmp_path / "model" / f"{name}.safetensors", text)
    return tmp_path / "model"


def put(file, content, age=60.0):
    file.write_bytes(content)
    os.utime(file, (time.time() - age,) * 2)


@pytest.fixture
def reads(monkeypatch):
    counted, read = [], weights.read
    monkeypatch.setattr(weights, "read", lambda files: counted.append(1) or read(files))
    return counted


def test_files_count_in_the_order_of_their_names_and_are_read_once(folder, reads):
    expected = hashlib.sha256(b"abcdef").hexdigest()
    assert [weights.weights_sha256(folder) for _ in range(3)] == [expected] * 3
    assert len(reads) == 1


def test_a_change_is_seen_though_size_and_time_are_the_old_ones(folder, reads):
    weights.weights_sha256(folder)
    file = folder / "a.safetensors"
    before = file.stat()
    file.write_bytes(b"abd")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights.weights_sha256(folder) == hashlib.sha256(b"abddef").hexdigest()
    assert len(reads) == 2


def test_what_was_written_just_now_or_is_small_is_read_each_time(folder, reads, monkeypatch):
    put(folder / "a.safetensors", b"new", age=-1.0)
    weights.weights_sha256(folder)
    weights.weights_sha256(folder)
    assert len(reads) == 2
    put(folder / "a.safetensors", b"old")
    monkeypatch.setattr(weights, "SMALL", 7)
    weights.weights_sha256(folder)
    weights.weights_sha256(folder)
    assert len(reads) == 4
    assert not list((folder.parent / "cache").glob("weights/*[!k]"))


def test_a_cache_that_cannot_be_written_costs_a_reading_each_time(folder, reads, monkeypatch):
    (folder.parent / "file").write_text("")
    monkeypatch.setenv("CPTLAB_CACHE", str(folder.parent / "file"))
    assert weights.weights_sha256(folder) == weights.weights_sha256(folder)
    assert len(reads) == 2


def test_of_several_processes_one_reads(folder, tmp_path, monkeypatch):
    read = weights.read

    def slow(files):
        with (tmp_path / "reads").open("a") as handle:
            handle.write("x")
        time.sleep(0.3)
        return read(files)

    monkeypatch.setattr(weights, "read", slow)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=weights.weights_sha256, args=(folder,)) for _ in range(4)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(20)
    assert [each.exitcode for each in processes] == [0] * 4
    assert (tmp_path / "reads").read_text() == "x"


def test_a_folder_without_safetensors_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no \*\.safetensors in .*convert them first"):
        weights.weights_sha256(tmp_path)
