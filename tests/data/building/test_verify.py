import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cptlab.cli import main
from cptlab.data import hashes
from cptlab.data.building.manifest import open_corpora
from cptlab.data.building.verify import verify
from cptlab.data.corpus import prepare
from cptlab.data.sources.files import Files
from cptlab.errors import UserError
from cptlab.launch import stop


@pytest.fixture
def built(tmp_path, jsonl):
    cache = str(tmp_path / "cache")
    return prepare(Files(corpora={"a": jsonl()}, vocab_size=300, sequence_length=16, cache_dir=cache))


def rewrite(corpora, split: str, tokens: np.ndarray, documents: int) -> None:
    """Replace a token file, its manifest agreeing with it."""
    path = Path(corpora["a"][split].path)
    path.write_bytes(tokens.tobytes())
    manifest = json.loads(Path(corpora.path, "manifest.json").read_text())
    facts = manifest["corpora"]["a"][split]
    facts["num_tokens"], facts["num_documents"] = len(tokens), documents
    facts["content_hash"] = hashlib.sha256(tokens.tobytes()).hexdigest()
    Path(corpora.path, "manifest.json").write_text(json.dumps(manifest))


def test_what_was_built_passes_every_check(built):
    lines = verify(Path(built.path))
    assert len(lines) == 4
    held = sum(built["a"][split].num_documents for split in ("valid", "fit", "test"))
    assert lines[-1] == f"none of the {held} documents of valid, fit and test is in a train split"


def test_a_held_out_document_in_train_is_found(built):
    train, valid = built["a"]["train"], built["a"]["valid"]
    tokens = np.array(valid.tokens())
    first = tokens[: np.flatnonzero(tokens == built.eos_id)[0] + 1]
    rewrite(built, "train", np.concatenate([train.tokens(), first]), train.num_documents + 1)
    with pytest.raises(UserError, match="1 documents of the valid split of corpus a are also in the train split"):
        verify(Path(built.path))


def test_an_id_outside_the_vocabulary_and_a_wrong_count_are_found(built):
    fit = built["a"]["fit"]
    tokens = np.array(fit.tokens())
    rewrite(built, "fit", tokens, fit.num_documents + 1)
    with pytest.raises(UserError, match=rf"a\.fit\.bin has {fit.num_documents} documents, its manifest says"):
        verify(Path(built.path))
    tokens[0] = 300
    rewrite(built, "fit", tokens, fit.num_documents)
    with pytest.raises(UserError, match=r"a\.fit\.bin has an id of 300 or more"):
        verify(Path(built.path))


def test_a_manifest_of_another_tokenizer_is_refused(built, tmp_path, jsonl):
    path = Path(built.path, "manifest.json")
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"tokenizer_hash": "0" * 64}))
    again = Files(corpora={"a": jsonl()}, vocab_size=300, sequence_length=16, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"manifest\.json is of another tokenizer \(hash 000000000000\)"):
        prepare(again)
    with pytest.raises(UserError, match=r"manifest\.json is of another tokenizer"):
        verify(Path(built.path))
    path.write_text(json.dumps(manifest | {"format": 99}))
    with pytest.raises(UserError, match=r"manifest\.json has format 99, this version reads 1"):
        prepare(again)
    path.write_text(json.dumps(manifest)[:-20])
    with pytest.raises(UserError, match=r"manifest\.json is no readable manifest"):
        prepare(again)


def reopen(built, tmp_path, jsonl):
    fields = {"vocab_size": 300, "sequence_length": 16, "cache_dir": str(tmp_path / "cache")}
    return prepare(Files(corpora={"a": jsonl()}, **fields))


@pytest.mark.parametrize("split", ["train", "fit"])
def test_overwritten_bytes_are_found_before_training(built, tmp_path, jsonl, split):
    path = Path(built["a"][split].path)
    before = path.stat()
    with open(path, "r+b") as file:
        file.seek(20)
        file.write(b"\x07\x00\x07\x00")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # nor does the old time hide it
    with pytest.raises(UserError, match=rf"a\.{split}\.bin has another content hash than its manifest"):
        reopen(built, tmp_path, jsonl)


def test_token_files_are_read_once_until_they_change(built, tmp_path, jsonl, monkeypatch):
    read = []
    real = hashes.sha256_file
    monkeypatch.setattr(hashes, "sha256_file", lambda path: (read.append(Path(path).name), real(path))[1])
    train = Path(built["a"]["train"].path)
    for path in train.parent.glob("*.bin"):
        os.utime(path, (1e9, 1e9))
    reopen(built, tmp_path, jsonl)
    assert sorted(name for name in read if name.endswith(".bin")) == [
        f"a.{s}.bin" for s in ("fit", "test", "train", "valid")
    ]
    read.clear()
    assert reopen(built, tmp_path, jsonl)["a"]["train"] == built["a"]["train"]
    assert not [name for name in read if name.endswith(".bin")]
    train.write_bytes(train.read_bytes())
    os.utime(train, (1e9, 1e9))
    reopen(built, tmp_path, jsonl)
    assert [name for name in read if name.endswith(".bin")] == ["a.train.bin"]


def test_what_was_just_built_is_not_read_again(tmp_path, jsonl, monkeypatch):
    read = []
    real = hashes.sha256_file
    monkeypatch.setattr(hashes, "FRESH", -60)
    monkeypatch.setattr(hashes, "sha256_file", lambda path: (read.append(Path(path).name), real(path))[1])
    reopen(None, tmp_path, jsonl)
    assert read == ["a.jsonl"]


DAMAGE = {
    "manifest.json": ['{"format": 1}', "[]", '{"format": 1, "corpora": 3}', "null", ""],
    "token_bytes.npy": ["garbage", "", None],
}


@pytest.mark.parametrize(("name", "content"), [(name, text) for name, texts in DAMAGE.items() for text in texts])
def test_a_damaged_folder_is_one_sentence(built, name, content):
    path = Path(built.path, name)
    path.unlink()
    if content is not None:
        path.write_text(content)
    for look in (verify, lambda folder: open_corpora(folder, "")):
        with pytest.raises(
            UserError, match=rf"{name.replace('.', '[.]')} is (no readable manifest|not the file that was built)"
        ):
            look(Path(built.path))


@pytest.mark.parametrize("change", [
    lambda m: m.pop("eos_id"),
    lambda m: m["corpora"]["a"].pop("valid"),
    lambda m: m["corpora"]["a"]["train"].pop("num_tokens"),
    lambda m: m["corpora"]["a"]["train"].update(dtype="uint17"),
    lambda m: m["corpora"]["a"]["train"].update(more=1),
    lambda m: m.update(vocab_size="many"),
])  # fmt: skip
def test_a_manifest_that_lacks_something_is_one_sentence(built, change):
    path = Path(built.path, "manifest.json")
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"manifest\.json is no readable manifest \("):
        verify(Path(built.path))


def test_changed_token_bytes_are_found(built):
    path = Path(built.path, "token_bytes.npy")
    np.save(path, np.load(path) + 1)
    with pytest.raises(UserError, match=r"token_bytes\.npy is not the file that was built"):
        open_corpora(Path(built.path), "")


def cli(*arguments) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["corpus", *arguments])
    return caught.value.code


def test_the_command_builds_shows_and_verifies(tmp_path, jsonl, capsys, texts):
    overrides = ["data=files", f"data.corpora.a={jsonl()}", "data.vocab_size=300", "data.sequence_length=16",
                 f"data.cache_dir={tmp_path / 'cache'}", "model.base_run=", "data.general=a"]  # fmt: skip
    assert cli("inspect", *overrides) == 2
    assert "not built in" in capsys.readouterr().err
    assert cli("build", "--workers", "1", *overrides) == 0
    table = capsys.readouterr().out
    assert cli("inspect", "--show", *overrides) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(table)
    assert texts[0][:60] in shown
    rows = [line.split() for line in table.splitlines() if line.startswith("a ")]
    assert [row[1] for row in rows] == ["train", "valid", "fit", "test"]
    assert sum(int(row[4].replace(",", "")) for row in rows) == len(texts)
    assert cli("verify", *overrides) == 0
    folder = Path(table.splitlines()[0])
    capsys.readouterr()
    data = (folder / "a.test.bin").read_bytes()
    (folder / "a.test.bin").write_bytes(bytes([data[0] ^ 1]) + data[1:])
    assert cli("verify", str(folder)) == 1
    assert "a.test.bin has another content hash" in capsys.readouterr().out
    (folder / "a.test.bin").write_bytes(data[:-2])
    assert cli("verify", str(folder)) == 1
    assert "a.test.bin is not the file that was built" in capsys.readouterr().out


def test_a_separator_on_the_command_line_cuts(tmp_path, texts, capsys):
    (tmp_path / "all.txt").write_text("\n\n".join(texts))
    overrides = ["data=files", f"data.corpora.a={tmp_path / 'all.txt'}", "data.vocab_size=300", "data.sequence_length=16",
                 f"data.cache_dir={tmp_path / 'cache'}", "model.base_run=", r'data.separator="\n\n"']  # fmt: skip
    assert cli("build", "--workers", "1", *overrides) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("a ")]
    assert sum(int(row[4].replace(",", "")) for row in rows) == len(texts)


def test_inspect_says_how_many_documents_the_rows_split(tmp_path, capsys):
    """One token a character (a vocabulary of bytes), and one more for the end of each document."""
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"text": c * n}) + "\n" for c, n in [("a", 15), ("b", 9), ("e", 8), ("c", 40), ("d", 30)]))  # fmt: skip
    held = "".join(json.dumps({"text": f"{number:020d}"}) + "\n" for number in range(40))
    (tmp_path / "held.jsonl").write_text(held)
    (tmp_path / "bytes").mkdir()
    make_byte_tokenizer(tmp_path / "bytes")
    overrides = ["data=files", f"data.corpora.a={tmp_path / 'train.jsonl'}", f"data.valid.a={tmp_path / 'held.jsonl'}",
                 f"data.tokenizer={tmp_path / 'bytes'}", "data.sequence_length=16", f"data.cache_dir={tmp_path / 'cache'}",
                 "model.base_run="]  # fmt: skip
    assert cli("build", "--workers", "1", *overrides) == 0
    capsys.readouterr()
    # Documents of 16, 10, 9, 41 and 31 tokens; rows end after 16, 32, 48, ...: the last three are cut, two need it.
    assert cli("inspect", *overrides) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "a: 6 concat rows of 16 tokens; of 5 documents 3 (60.00%) split, 2 (40.00%) longer than a row"
    # 16, 16, 16, 16, 15, 10, 9 and 9: no two of them share a row of 16. 8 rows for 107 tokens.
    assert cli("inspect", "data.packing=best_fit", *overrides) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "a: 8 best_fit rows of 16 tokens; of 5 documents 2 (40.00%) split, 3 (60.00%) if concatenated, padding 16.41%"
    )


def make_byte_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))} | {"<|endoftext|>": 256}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens(["<|endoftext|>"])
    made.save(str(folder / "tokenizer.json"))


def test_a_reader_that_goes_away_ends_the_command_quietly(built):
    command = [sys.executable, "-m", "cptlab", "corpus", "inspect", "--show", built.path]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141  # as of a command that the closed pipe ended


def test_an_error_without_a_file_names_none(capsys):
    for error, said in [
        (OSError("Unexpected end of stream"), "error: Unexpected end of stream"),
        (FileNotFoundError(2, "No such file or directory", "x.bin"), "error: No such file or directory: x.bin"),
        (BrokenPipeError(32, "Broken pipe"), "error: Broken pipe"),  # of another pipe than stdout
    ]:
        with pytest.raises(SystemExit) as caught:
            stop(error)
        assert caught.value.code == 2
        assert capsys.readouterr().err == said + "\n"


def test_wrong_flags_are_one_sentence(capsys, tmp_path):
    assert cli("build", "--workers", "-1") == 2
    assert "--workers is -1" in capsys.readouterr().err
    assert cli("inspect", "somewhere", "data=files") == 2
    assert cli("verify", str(tmp_path)) == 1
    assert "has no manifest.json" in capsys.readouterr().out
