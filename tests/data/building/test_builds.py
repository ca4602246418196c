import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from cptlab.data.building import pool, shards
from cptlab.data.building.lock import locked
from cptlab.data.corpus import find, prepare
from cptlab.data.sources.base import SPLITS, Document, content_id, split_of
from cptlab.data.sources.files import Files
from cptlab.data.tokenizer import load_tokenizer, train_bpe
from cptlab.errors import UserError


@pytest.fixture(scope="module")
def bpe(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("bpe")
    train_bpe(texts, 300, folder)
    return str(folder)


@pytest.fixture
def many(tmp_path, texts) -> str:
    """2,400 documents, 0.6 MB."""
    path = tmp_path / "many.jsonl"
    path.write_text("".join(json.dumps({"text": f"{turn} {text}"}) + "\n" for turn in range(6) for text in texts))
    return str(path)


def source(tmp_path, bpe, path, cache="cache", **fields):
    fields = {"tokenizer": bpe, "sequence_length": 16, "cache_dir": str(tmp_path / cache)} | fields
    return Files(corpora={"a": path}, **fields)


def content(corpora) -> list[str]:
    return [corpora["a"][split].content_hash for split in SPLITS]


BUILD = """
import sys
from cptlab.data.building import shards
from cptlab.data.corpus import prepare
from cptlab.data.sources.files import Files
from cptlab.errors import UserError
if __name__ == "__main__":
    path, tokenizer, cache, chars, workers = sys.argv[1:]
    shards.SHARD_CHARS = int(chars)
    try:
        prepare(Files(corpora={"a": path}, tokenizer=tokenizer, sequence_length=16, cache_dir=cache), workers=int(workers))
    except UserError as error:
        sys.exit(str(error))
"""


def command(tmp_path, bpe, path, cache="cache", chars=30_000, workers=1) -> list[str]:
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    return [sys.executable, str(script), path, bpe, str(tmp_path / cache), str(chars), str(workers)]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "TOKENIZERS_PARALLELISM": "false"}


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_several_processes_and_any_shards_give_the_bytes_of_one(tmp_path, bpe, many, monkeypatch):
    one = prepare(source(tmp_path, bpe, many, "one"))
    monkeypatch.setattr(shards, "SHARD_CHARS", 100_000)
    two = prepare(source(tmp_path, bpe, many, "two"), workers=2)
    assert content(one) == content(two)
    tokenizer = load_tokenizer(bpe)
    wanted = {split: [] for split in SPLITS}
    for line in Path(many).read_text().splitlines():
        text = json.loads(line)["text"]
        ids = next(tokenizer.encode([text]))
        wanted[split_of(Document(content_id(text), text))] += [*ids, tokenizer.eos_id]
    for split in SPLITS:
        assert np.array_equal(two["a"][split].tokens(), wanted[split])


def test_a_killed_build_leaves_no_process_and_continues_where_it_was(tmp_path, bpe, many, monkeypatch):
    marks = tmp_path / "cache"
    process = subprocess.Popen(command(tmp_path, bpe, many, workers=2), env=environment(), stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list(marks.glob(".building-*/shards/a/*.json"))) >= 3)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
    done = len(list(marks.glob(".building-*/shards/a/*.json")))
    assert not list(marks.glob("*/manifest.json"))
    made = []
    monkeypatch.setattr(shards, "SHARD_CHARS", 30_000)
    monkeypatch.setattr(
        pool, "tokenise", lambda shard, *rest: (made.append(shard.number), shards.tokenise(shard, *rest))
    )
    resumed = prepare(source(tmp_path, bpe, many))
    total = sum(len(json.loads(line)["text"]) for line in Path(many).read_text().splitlines()) // 30_000 + 1
    assert 3 <= done < total
    assert len(made) <= total - done
    assert content(resumed) == content(prepare(source(tmp_path, bpe, many, "fresh")))
    assert not list(marks.glob(".building-*"))


def test_a_shard_of_other_text_is_not_taken_for_done(tmp_path, bpe):
    tokenizer = load_tokenizer(bpe)
    first = shards.Shard(tmp_path, 0, [shards.Piece("some text", 0)])
    shards.tokenise(first, tokenizer, None)
    assert first.is_done()
    assert not shards.Shard(tmp_path, 0, [shards.Piece("other text", 0)]).is_done()
    assert not shards.Shard(tmp_path, 0, [shards.Piece("some text", 1)]).is_done()
    first.tokens.write_bytes(first.tokens.read_bytes()[:-1])
    assert not first.is_done()


def test_a_full_disk_is_one_sentence_and_touches_nothing_that_was_built(tmp_path, bpe, many, jsonl):
    before = prepare(source(tmp_path, bpe, jsonl()))
    limit = 200_000  # [byte] no file may be larger: the write fails like that on a full disk

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    full = subprocess.run(
        command(tmp_path, bpe, many),
        env=environment(),
        preexec_fn=small_disk,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 1
    assert "no room to write" in full.stderr.splitlines()[-1]
    assert "it continues" in full.stderr.splitlines()[-1]
    assert prepare(source(tmp_path, bpe, jsonl()), verify=True).path == before.path
    assert list(Path(before.path).parent.glob(".building-*/shards/a/*.json"))
    done = subprocess.run(command(tmp_path, bpe, many), env=environment(), capture_output=True, text=True, check=True)
    assert "built corpora in" in done.stderr
    assert content(prepare(source(tmp_path, bpe, many), verify=True)) == content(
        prepare(source(tmp_path, bpe, many, "x"))
    )


def test_a_second_build_of_the_same_corpora_says_that_it_waits(tmp_path, bpe, jsonl):
    path = jsonl()
    folder = find(source(tmp_path, bpe, path)).folder
    lines = []
    with locked(folder.parent / ".locks" / folder.name, "it"):
        process = subprocess.Popen(command(tmp_path, bpe, path), env=environment(), stderr=subprocess.PIPE, text=True)
        lines.append(process.stderr.readline())
        assert process.poll() is None
    lines += process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 0
    assert f"{folder.name} is being built by process {os.getpid()} since" in lines[0]
    assert "waiting for it" in lines[0]
    assert prepare(source(tmp_path, bpe, path)).path == str(folder)


def test_a_long_document_is_cut_and_gives_the_tokens_of_the_whole(tmp_path, bpe, texts, monkeypatch):
    long = " ".join(texts)
    path = tmp_path / "long.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts[:200], long, *texts[200:]]))
    whole = prepare(source(tmp_path, bpe, str(path), "one"))
    monkeypatch.setattr(shards, "LONG", 5_000)
    monkeypatch.setattr(shards, "SHARD_CHARS", 12_000)
    pieces = prepare(source(tmp_path, bpe, str(path), "two"))
    assert content(whole) == content(pieces)
    assert {s: c.num_documents for s, c in whole["a"].items()} == {s: c.num_documents for s, c in pieces["a"].items()}
    monkeypatch.setattr(shards, "LONG", 2_000_000)
    parts = [texts[0], long[3_000:4_000]]
    planted = tmp_path / "eval.jsonl"
    planted.write_text("".join(json.dumps({"text": text}) + "\n" for text in parts))
    monkeypatch.setattr(shards, "LONG", 5_000)
    cleaned = prepare(source(tmp_path, bpe, str(path), "three", decontaminate=[str(planted)]))
    assert cleaned["a"]["train"].num_tokens < 0.6 * whole["a"]["train"].num_tokens  # the long one went whole


def test_a_million_empty_documents_are_counted_and_left_out(tmp_path, bpe, jsonl, texts):
    path = tmp_path / "empty.jsonl"
    path.write_text('{"text": ""}\n{"text": " \\n"}\n' * 500_000 + Path(jsonl()).read_text())
    corpora = prepare(source(tmp_path, bpe, str(path)))
    assert corpora.left_out == {"a": {"empty": 1_000_000}}
    assert sum(c.num_documents for c in corpora["a"].values()) == len(texts)
    assert content(corpora) == content(prepare(source(tmp_path, bpe, jsonl())))


def test_duplicates_are_counted(tmp_path, bpe, jsonl, texts):
    corpora = prepare(source(tmp_path, bpe, jsonl("twice.jsonl", texts + texts[:30])))
    assert sum(corpora.duplicates["a"].values()) == 30


def test_a_corpus_of_empty_documents_is_refused(tmp_path, bpe):
    path = tmp_path / "e.jsonl"
    path.write_text('{"text": "x"}\n')
    with pytest.raises(UserError, match=r"corpus a: its \w+ split has"):
        prepare(source(tmp_path, bpe, str(path)))
