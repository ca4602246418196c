import json
import struct
from pathlib import Path

import numpy as np
import pytest

from cptlab.data.building.verify import verify
from cptlab.data.corpus import prepare
from cptlab.data.sources.base import SPLITS
from cptlab.data.sources.files import Files
from cptlab.data.sources.token_files import open_token_file
from cptlab.data.sources.tokens import Tokens
from cptlab.data.tokenizer import load_tokenizer, train_bpe
from cptlab.errors import UserError


@pytest.fixture(scope="module")
def bpe(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("bpe")
    train_bpe(texts, 300, folder)
    return str(folder)


@pytest.fixture(scope="module")
def documents(bpe, texts):
    """Token ids of every text, without an end of text."""
    return list(load_tokenizer(bpe).encode(texts))


def megatron(path: Path, documents, kind="<u2", eos=None, code=None) -> str:
    """Write `.bin` and `.idx` as megatron.core.datasets.indexed_dataset does (version 1)."""
    rows = [np.array([*ids, eos] if eos is not None else ids, kind) for ids in documents]
    path.write_bytes(b"".join(row.tobytes() for row in rows))
    sizes = np.array([len(row) for row in rows], "<i4")
    pointers = (np.cumsum(sizes, dtype="<i8") - sizes) * np.dtype(kind).itemsize
    code = code or {"<u2": 8, "<i4": 4, "<i8": 5}[kind]
    head = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(rows), len(rows) + 1)
    index = head + sizes.tobytes() + pointers.astype("<i8").tobytes() + np.arange(len(rows) + 1, dtype="<i8").tobytes()
    path.with_suffix(".idx").write_bytes(index)
    return str(path)


def datatrove(path: Path, documents, eos, kind="<u2") -> str:
    """Write `.ds` and `.ds.index` as datatrove.pipeline.tokens does."""
    rows = [np.array([*ids, eos], kind) for ids in documents]
    path.write_bytes(b"".join(row.tobytes() for row in rows))
    Path(f"{path}.index").write_bytes(np.cumsum([len(row) for row in rows], dtype="<u8").tobytes())
    return str(path)


def source(tmp_path, bpe, path, **more):
    fields = {"tokenizer": bpe, "sequence_length": 16, "cache_dir": str(tmp_path / "cache")}
    return Tokens(corpora={"a": path}, **fields | more)


def all_documents(corpora) -> dict[str, list[tuple]]:
    found = {}
    for split, corpus in corpora.corpora["a"].items():
        tokens = corpus.tokens().tolist()
        ends = [i for i, token in enumerate(tokens) if token == corpora.eos_id]
        starts = [0, *(end + 1 for end in ends[:-1])]
        found[split] = [tuple(tokens[i:j]) for i, j in zip(starts, ends, strict=True)]
    return found


@pytest.mark.parametrize("form", ["megatron 16", "megatron 32", "megatron 64", "megatron with ends", "ds 16", "ds 32"])
def test_every_form_gives_the_documents_split_by_what_they_hold(tmp_path, bpe, documents, form):
    path = tmp_path / ("t.ds" if "ds" in form.split()[0] else "t.bin")
    eos = load_tokenizer(bpe).eos_id
    if path.suffix == ".ds":
        datatrove(path, documents, eos, "<u4" if "32" in form else "<u2")
    else:
        kind = {"32": "<i4", "64": "<i8"}.get(form[-2:], "<u2")
        megatron(path, documents, kind, eos if "ends" in form else None)
    corpora = prepare(source(tmp_path, bpe, str(path)))
    found = all_documents(corpora)
    assert sorted(d for split in SPLITS for d in found[split]) == sorted(map(tuple, documents))
    assert all(found[split] for split in SPLITS)
    assert 0.85 < len(found["train"]) / len(documents) < 0.99
    train = corpora.corpora["a"]["train"]
    assert train.dtype == "uint16"
    text_bytes = sum(len(load_tokenizer(bpe).decode(ids).encode()) for ids in found["train"])
    assert train.num_bytes == text_bytes
    assert len(verify(Path(corpora.path))) == 4


def test_the_split_of_a_document_does_not_depend_on_the_form(tmp_path, bpe, documents):
    eos = load_tokenizer(bpe).eos_id
    one = prepare(source(tmp_path, bpe, megatron(tmp_path / "a.bin", documents, "<i4", eos)))
    two = prepare(source(tmp_path, bpe, datatrove(tmp_path / "b.ds", documents, eos)))
    assert all_documents(one) == all_documents(two)


@pytest.mark.parametrize("kind", ["<u2", "<i4"])
def test_a_file_of_the_same_layout_is_linked_when_held_out_files_are_given(tmp_path, bpe, documents, kind):
    eos = load_tokenizer(bpe).eos_id
    path = megatron(tmp_path / "train.bin", documents[100:], kind, eos)
    valid = megatron(tmp_path / "valid.bin", documents[:100], kind, eos)
    corpora = prepare(source(tmp_path, bpe, path, valid={"a": valid}))
    train = corpora.corpora["a"]["train"]
    assert Path(train.path).resolve() == Path(path)
    assert (train.dtype, train.num_documents) == ({"<u2": "uint16", "<i4": "uint32"}[kind], len(documents) - 100)
    assert all_documents(corpora)["train"] == list(map(tuple, documents[100:]))
    assert prepare(source(tmp_path, bpe, path, valid={"a": valid}), verify=True).path == corpora.path
    data = bytearray(Path(path).read_bytes())
    data[0] ^= 1
    Path(path).write_bytes(data)
    with pytest.raises(UserError, match=r"a\.train\.bin has another content hash"):
        verify(Path(corpora.path))


def test_a_train_document_that_is_held_out_is_left_out_and_the_file_copied(tmp_path, bpe, documents):
    eos = load_tokenizer(bpe).eos_id
    path = megatron(tmp_path / "train.bin", documents[90:], "<u2", eos)
    valid = megatron(tmp_path / "valid.bin", documents[:100], "<u2", eos)
    corpora = prepare(source(tmp_path, bpe, path, valid={"a": valid}))
    assert not Path(corpora.corpora["a"]["train"].path).is_symlink()
    assert corpora.left_out == {"a": {"held_out": 10}}
    assert all_documents(corpora)["train"] == list(map(tuple, documents[100:]))


def test_the_tokens_of_text_and_of_token_files_are_the_same(tmp_path, bpe, documents, texts, jsonl):
    text = Files(corpora={"a": jsonl()}, tokenizer=bpe, sequence_length=16, cache_dir=str(tmp_path / "cache"))
    tokens = source(tmp_path, bpe, megatron(tmp_path / "t.bin", documents))
    found = [[d for split in all_documents(c).values() for d in split] for c in (prepare(text), prepare(tokens))]
    assert sorted(found[0]) == sorted(found[1])


def test_wide_vocabularies_are_kept_in_32_bits(tmp_path):
    vocabulary = {f"w{i}": i for i in range(70_000)} | {"<|endoftext|>": 70_000}
    folder = tmp_path / "wide"
    folder.mkdir()
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"}
    spec = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None, "model": model}  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(spec))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    lines = [json.dumps({"text": " ".join(f"w{(7919 * i + j) % 70_000}" for j in range(40))}) for i in range(300)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    cache = str(tmp_path / "cache")
    corpora = prepare(Files(corpora={"a": str(tmp_path / "a.jsonl")}, tokenizer=str(folder), sequence_length=16, cache_dir=cache))  # fmt: skip
    train = corpora.corpora["a"]["train"]
    assert train.dtype == "uint32"
    assert 2**16 < train.tokens().max() <= 70_000
    assert train.file_bytes == 4 * train.num_tokens == Path(train.path).stat().st_size


def test_a_token_outside_the_vocabulary_is_named_with_its_place(tmp_path, bpe):
    path = megatron(tmp_path / "t.bin", [[1, 2], [3, 400, 5]])
    with pytest.raises(UserError, match=r"data\.corpora\.a: token 3 of .*t\.bin is 400, and the tokenizer has 300 ids"):
        prepare(source(tmp_path, bpe, path))


def test_a_token_file_without_a_tokenizer_is_refused(tmp_path):
    path = megatron(tmp_path / "t.bin", [[1, 2], [3, 4, 5]])
    with pytest.raises(UserError, match=r"name the files' own as data\.tokenizer"):
        prepare(source(tmp_path, "auto", path))


def test_a_file_that_is_not_whole_is_refused_by_name(tmp_path):
    path = Path(megatron(tmp_path / "t.bin", [[1, 2], [3, 4, 5]]))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"t\.bin has 8 bytes and its index t\.idx says 10"):
        open_token_file(path, "data.corpora.a")
    index = path.with_suffix(".idx")
    whole = index.read_bytes()
    for broken in (whole[:-8], whole[:20], b"nothing at all " * 9):
        index.write_bytes(broken)
        with pytest.raises(UserError, match=r"t\.idx is no whole Megatron index"):
            open_token_file(path, "data.corpora.a")
    index.unlink()
    with pytest.raises(UserError, match=r"t\.bin has no index t\.idx beside it"):
        open_token_file(path, "data.corpora.a")
    bad = Path(megatron(tmp_path / "f.bin", [[1, 2]], "<u2", code=7))
    with pytest.raises(UserError, match="type code 7, which is no kind of integer"):
        open_token_file(bad, "data.corpora.a")


def test_there_is_no_text_to_clean():
    with pytest.raises(UserError, match="no text to filter or decontaminate"):
        Tokens(corpora={"a": "b"}, decontaminate=["held_out"])


def test_files_that_datatrove_itself_wrote_are_read(tmp_path, bpe, documents):
    pytest.importorskip("datatrove")
    from datatrove.pipeline.tokens.megatron_tokenizer import MegatronTokenizedFile
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    eos = load_tokenizer(bpe).eos_id
    for size in (2, 4):
        one = TokenizedFile(str(tmp_path), f"d{size}.ds", token_size=size)
        two = MegatronTokenizedFile(str(tmp_path), f"m{size}", token_size=size)
        for ids in documents:
            one.write([*ids, eos], None)
            two.write([*ids, eos])
        one.close()
        two.close()
        for name in (f"d{size}.ds", f"m{size}.bin"):
            found = all_documents(prepare(source(tmp_path, bpe, str(tmp_path / name))))
            assert sorted(d for split in SPLITS for d in found[split]) == sorted(map(tuple, documents))
