import gzip
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from cptlab.data.corpus import prepare
from cptlab.data.sources.base import HELD_OUT, SPLITS, split_of
from cptlab.data.sources.files import Files
from cptlab.data.sources.hub import Hub
from cptlab.data.sources.installed_packages import InstalledPackages
from cptlab.data.sources.tokens import Tokens
from cptlab.errors import UserError


def sides(source) -> dict[str, set[str]]:
    """Document id -> the splits that it lies in, over all corpora."""
    found: dict[str, set[str]] = {}
    for read in source.documents().values():
        for document in read():
            found.setdefault(document.id, set()).add(split_of(document))
    return found


def read(source, name="a"):
    return [document.text for document in source.documents()[name]()]


def test_no_file_of_a_package_is_on_two_sides():
    source = InstalledPackages(packages=["networkx"])
    assert sides(source).keys() >= {"networkx/classes/graph.py"}
    assert all(len(splits) == 1 for splits in sides(source).values())
    used = {split for splits in sides(source).values() for split in splits}
    assert used == set(SPLITS)


def test_code_is_capped_and_keeps_no_comment_while_prose_is_whole():
    whole = InstalledPackages(packages=["networkx"], max_code_mb=100)
    capped = InstalledPackages(packages=["networkx"], max_code_mb=1)
    size = sum(map(len, read(capped, "code")))
    assert 0.7e6 < size < 1.3e6 < 3e6 < sum(map(len, read(whole, "code")))
    assert read(whole, "general") == read(capped, "general")
    assert not any(line.lstrip().startswith("# ") for text in read(capped, "code")[:20] for line in text.split("\n"))
    assert whole.fingerprint() != capped.fingerprint()


def test_packages_are_read_without_importing_them(tmp_path, monkeypatch):
    package = tmp_path / "tinypkg"
    package.mkdir()
    (package / "__init__.py").write_text('raise SystemExit("imported")\n' + 'x = "\\d"\n' * 40)
    (package / "copy.py").write_text((package / "__init__.py").read_text())
    (package / "_version.py").write_text("v = 1\n" * 99)
    (package / "latin.py").write_bytes(b"# caf\xe9\n" + b"x = 1\n" * 99)
    monkeypatch.syspath_prepend(tmp_path)
    source = InstalledPackages(packages=["tinypkg"])
    documents = list(source.documents()["code"]())
    assert [d.id for d in documents] == ["tinypkg/__init__.py"]  # the copy, the version, the Latin-1 are out
    before = source.fingerprint()
    (package / "copy.py").write_text("y = 2\n")
    assert source.fingerprint() != before
    assert "tinypkg" not in sys.modules


def test_an_unknown_package_is_answered_with_the_closest_one():
    with pytest.raises(UserError, match=r"numpi is no installed Python package\. Did you mean numpy\?"):
        InstalledPackages(packages=["numpi"]).fingerprint()


def test_every_format_gives_the_same_documents(tmp_path, jsonl, texts):
    plain = jsonl()
    lines = Path(plain).read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(lines[:999]) + zstandard.compress(lines[999:]))
    pq.write_table(pa.table({"text": texts, "n": range(len(texts))}), tmp_path / "a.parquet")
    folder = tmp_path / "books"
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:03}.txt").write_text(text)
    for path in (plain, "a.jsonl.gz", "a.jsonl.zst", "a.parquet", "books", "books/*.txt"):
        assert read(Files(corpora={"a": str(tmp_path / path)})) == texts, path


def test_a_separator_typed_with_backslashes_cuts(tmp_path, texts):
    path = tmp_path / "a.txt"
    path.write_text("\n\n".join(texts))
    assert read(Files(corpora={"a": str(path)}, separator="\\n\\n")) == texts
    path.write_text("\r\n\t\\".join(texts[:9]))
    assert read(Files(corpora={"a": str(path)}, separator="\\r\\n\\t\\\\")) == texts[:9]
    cache = {"cache_dir": str(tmp_path / "cache")}
    typed, real = (Files(corpora={"a": str(path)}, separator=s, **cache).fingerprint() for s in ("\\t", "\t"))
    assert typed == real


def test_a_separator_that_cuts_nothing_is_refused(tmp_path, jsonl, texts):
    (tmp_path / "b.txt").write_text("\r\n\r\n".join(texts))
    with pytest.raises(
        UserError, match=r"separator: '\\n\\n' occurs nowhere in the plain text of corpus a \(.*b\.txt\)"
    ):
        read(Files(corpora={"a": str(tmp_path / "b.txt")}, separator="\n\n"))
    cache = {"cache_dir": str(tmp_path / "cache")}
    with pytest.raises(UserError, match=r"data\.separator cuts plain text \(\.txt, \.md\), and the corpora have none"):
        Files(corpora={"a": jsonl()}, separator="\n", **cache).fingerprint()


def test_documents_left_out_because_they_are_held_out_are_counted(tmp_path, jsonl, texts):
    held, train = texts[:150], texts[100:]  # fifty documents are in both files
    fields = {"vocab_size": 300, "sequence_length": 16, "cache_dir": str(tmp_path / "cache")}
    source = Files(corpora={"a": jsonl("a.jsonl", train)}, valid={"a": jsonl("v.jsonl", held)}, **fields)
    corpora = prepare(source)
    assert corpora.left_out == {"a": {"held_out": 50}}
    assert corpora["a"]["train"].num_documents == len(train) - 50


def test_held_out_files_are_never_trained_on(tmp_path, jsonl, texts):
    held, train = texts[:30], texts[20:]  # ten documents are in both files
    source = Files(
        corpora={"a": jsonl("a.jsonl", train), "b": jsonl("b.jsonl", texts)},
        valid={"a": jsonl("v.jsonl", held)},
    )
    found = {name: list(read_()) for name, read_ in source.documents().items()}
    drawn = {d.text for d in found["b"] if split_of(d) != "train"}
    assert [d.text for d in found["a"] if split_of(d) == "train"] == [t for t in texts[30:] if t not in drawn]
    assert {split_of(d) for d in found["a"][:30]} == set(HELD_OUT)
    assert [d.text for d in found["b"]] == texts[30:]
    assert all(len(splits) == 1 for splits in sides(source).values())


def test_the_fingerprint_is_of_the_bytes_not_of_the_path(tmp_path, jsonl, texts):
    cache = {"cache_dir": str(tmp_path / "cache")}
    first = Files(corpora={"a": jsonl("a.jsonl")}, **cache).fingerprint()
    assert Files(corpora={"a": jsonl("b.jsonl")}, **cache).fingerprint() == first
    assert Files(corpora={"a": jsonl("a.jsonl", texts[1:])}, **cache).fingerprint() != first
    assert Files(corpora={"other": jsonl("b.jsonl")}, **cache).fingerprint() != first


def test_local_dataset_folders_are_read_like_a_hub_name(tmp_path, jsonl, texts):
    import datasets

    saved = tmp_path / "saved"
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(saved)
    splits = tmp_path / "splits"
    datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": texts[:9]})}).save_to_disk(splits)
    folder = tmp_path / "folder"
    folder.mkdir()
    pq.write_table(pa.table({"text": texts}), folder / "train.parquet")
    cache = str(tmp_path / "cache")
    source = Hub(corpora={"a": str(saved), "b": str(splits), "c": str(folder)}, cache_dir=cache, max_documents=50)
    assert read(source, "a") == texts[:50]
    assert read(source, "b") == texts[:9]
    assert read(source, "c") == texts[:50]
    assert len(source.fingerprint()) == 64
    with pytest.raises(UserError, match=r"splits has no split trian\. Did you mean train\?"):
        read(Hub(corpora={"a": f"{splits}::trian"}))
    with pytest.raises(UserError, match=r'row 1 of .*saved has no "txt".* Did you mean text\?'):
        read(Hub(corpora={"a": str(saved)}, text_key="txt"))
    with pytest.raises(UserError, match=r"there is no folder .*savd\. Did you mean saved\?"):
        Hub(corpora={"a": str(tmp_path / "savd")}, cache_dir=cache).fingerprint()


def test_a_broken_file_in_a_dataset_folder_is_one_sentence(tmp_path, jsonl):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "good"}\n{"text": "bro\n')
    with pytest.raises(UserError, match=r"corpus a: .*folder cannot be read after row \d+ \(") as caught:
        read(Hub(corpora={"a": str(folder)}))
    assert "\n" not in str(caught.value)


def test_a_split_or_config_that_a_saved_dataset_lacks_is_refused(tmp_path, texts):
    import datasets

    saved = tmp_path / "saved"
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(saved)
    with pytest.raises(
        UserError, match=r"data\.corpora\.a: .*saved holds one dataset .* so no valid; leave ::valid out"
    ):
        read(Hub(corpora={"a": f"{saved}::valid"}))
    with pytest.raises(UserError, match=r"data\.corpora\.a: .*saved was saved to disk, without config en"):
        read(Hub(corpora={"a": f"{saved}:en"}))
    named = tmp_path / "named"
    datasets.Dataset.from_dict({"text": texts[:9]}, split="valid").save_to_disk(named)
    assert read(Hub(corpora={"a": f"{named}::valid"})) == texts[:9]


BAD_LINES = {
    b'{"text": "a"}\n[1]\n': r"line 2 of .*bad\.jsonl is a JSON list, no object",
    b'{"text": "a"}\n{"txt": "b"}\n': r'line 2 of .*bad\.jsonl has no "text".*Did you mean txt\?',
    b'{"text": 3}\n': r'line 1 of .*: its "text" is a int, no text',
    b'{"text": "\\ud800"}\n': r"line 1 of .*half a surrogate",
    b'\n{"text": "a"\n': r"line 2 of .* is no JSON",
    b'{"text": "a"}\n{"text": "\xff"}\n': r"line 2 of .* is not UTF-8 \(byte 10 of the line\)",
    b"": r"bad\.jsonl is empty",
    b'{"text": " "}\n': r"bad\.jsonl is empty",
}


@pytest.mark.parametrize("content", BAD_LINES)
def test_a_bad_line_is_answered_with_file_and_line(tmp_path, content):
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(UserError, match="corpus a: .*" + BAD_LINES[content]) as caught:
        read(Files(corpora={"a": str(tmp_path / "bad.jsonl")}))
    assert "\n" not in str(caught.value)


BAD_FILES = {
    "bad.txt": (b"good\nba\xffd", r"bad\.txt is not UTF-8 at byte 7 \(line 2\)"),
    "bad.jsonl.gz": (
        gzip.compress(b'{"text": "a"}\n' * 99)[:-9],
        r"bad\.jsonl\.gz cannot be read after line",
    ),
    "bad.jsonl.zst": (b"not zstd at all", r"bad\.jsonl\.zst cannot be read after line 0"),
    "bad.parquet": (b"PAR1 no", r"bad\.parquet is no readable Parquet file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_broken_file_is_answered_with_its_name(tmp_path, name):
    content, sentence = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="corpus a: .*" + sentence):
        read(Files(corpora={"a": str(tmp_path / name)}))


def test_a_parquet_file_that_breaks_off_within_its_pages_is_named(tmp_path, texts):
    path = tmp_path / "pages.parquet"
    pq.write_table(pa.table({"text": texts * 40}), path, row_group_size=4_000, use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[middle : middle + 2_000] = bytes(2_000)
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"corpus a: .*pages\.parquet cannot be read after row \d+") as caught:
        read(Files(corpora={"a": str(path)}))
    assert "\n" not in str(caught.value)


def test_a_parquet_file_without_the_column_names_the_closest(tmp_path):
    pq.write_table(pa.table({"texts": ["x"]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r'no column "text".*Did you mean texts\?'):
        read(Files(corpora={"a": str(tmp_path / "t.parquet")}))


def test_a_path_that_is_not_there_is_answered_before_anything_is_read(tmp_path, jsonl):
    jsonl("law.jsonl")
    (tmp_path / "law.csv").write_text("text\n")
    (tmp_path / "nothing").mkdir()
    for path, sentence in {
        "lau.jsonl": r"data\.corpora\.a: there is no .*lau\.jsonl\. Did you mean law\.jsonl\?",
        "law.csv": r"the format of .*law\.csv is not known; use one of \.jsonl",
        "nothing": r"the folder .*nothing has no file of",
        "*.parquet": r"no file of .* matches",
    }.items():
        with pytest.raises(UserError, match=sentence):
            prepare(Files(corpora={"a": str(tmp_path / path)}, cache_dir=str(tmp_path / "cache")))


def test_corpora_that_do_not_fit_together_are_refused_by_name():
    for fields, sentence in [
        (
            {"corpora": {"general": "a", "law": "b"}, "general": "genral"},
            r"general=genral .*Did you mean general\?",
        ),
        ({"corpora": {"law": "a", "Law": "b"}}, r"law and Law, the same but for case"),
        ({"corpora": {"law-en": "a"}}, r"data\.corpora\.law-en: a corpus name must be"),
        ({"corpora": {"law": "a"}, "valid": {"lw": "b"}}, r"data\.valid\.lw is none .*Did you mean law\?"),
        ({"vocab_size": 100}, r"data\.vocab_size is 100"),
        ({"sequence_length": 1}, r"data\.sequence_length is 1"),
    ]:
        with pytest.raises(UserError, match=sentence):
            Files(**fields)
    with pytest.raises(UserError, match=r"data\.corpora is empty"):
        Files().fingerprint()


def test_sources_import_nothing_heavy():
    import subprocess

    code = (
        "import sys, json, cptlab.data.corpus, cptlab.data.sources.hub, cptlab.data.sources.files\n"
        "print(json.dumps([m for m in ('torch', 'transformers', 'datasets', 'pyarrow') if m in sys.modules]))"
    )
    assert json.loads(subprocess.check_output([sys.executable, "-c", code])) == []


@pytest.mark.parametrize("cls", [Files, Hub, InstalledPackages, Tokens])
def test_a_shipped_config_has_every_field_at_its_default_and_opens_with_its_schema(cls):
    from omegaconf import OmegaConf

    path = Path(__file__).parents[2] / "conf" / "data" / f"{cls.variant_name}.yaml"
    written = OmegaConf.load(path)
    assert written.pop("defaults") == [f"/schema/data/{cls.variant_name}@_here_"]
    assert OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), written)) == cls()
    assert set(written) == set(OmegaConf.structured(cls))


def test_a_latin_1_file_among_others_is_named_with_its_byte_and_replaced_only_if_asked_for(tmp_path):
    folder = tmp_path / "books"
    folder.mkdir()
    (folder / "a.txt").write_text("café and tea")
    (folder / "b.txt").write_bytes("line\ncafé and tea".encode("latin-1"))
    with pytest.raises(
        UserError, match=r"b\.txt is not UTF-8 at byte 8 \(line 2\); convert it, or give data\.errors=rep"
    ):
        read(Files(corpora={"a": str(folder)}))
    lenient = Files(corpora={"a": str(folder)}, errors="replace", cache_dir=str(tmp_path / "cache"))
    assert read(lenient) == ["café and tea", "line\ncaf\ufffd and tea"]
    strict = Files(corpora={"a": str(folder)}, cache_dir=str(tmp_path / "cache"))
    assert lenient.fingerprint() != strict.fingerprint()
    (folder / "c.jsonl").write_bytes(b'{"text": "one"}\n{"text": "caf\xe9"}\n')
    with pytest.raises(
        UserError, match=r"line 2 of .*c\.jsonl is not UTF-8 \(byte 13 of the line\), byte 29 of the text"
    ):
        read(Files(corpora={"a": str(folder / "c.jsonl")}))
    assert read(Files(corpora={"a": str(folder / "c.jsonl")}, errors="replace")) == ["one", "caf\ufffd"]
    with pytest.raises(UserError, match=r"data\.errors is replce\. Did you mean replace\?"):
        Files(errors="replce")


@pytest.mark.parametrize("separator", ["\n\n", "\n", "<|end|>"])
@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
def test_a_plain_text_is_cut_at_its_separator_wherever_the_blocks_end(tmp_path, monkeypatch, separator, block):
    from cptlab.data.sources import plain_text

    monkeypatch.setattr(plain_text, "BLOCK", block)
    parts = ["one é 汉字", "", "two", "three < | end", "four|>"]
    (tmp_path / "t.txt").write_bytes(separator.join(parts).encode())
    assert read(Files(corpora={"a": str(tmp_path / "t.txt")}, separator=separator)) == parts
    (tmp_path / "t.txt").write_bytes(("ok é" + separator).encode() + b"caf\xe9" + separator.encode() + b"end")
    with pytest.raises(UserError, match=rf"t\.txt is not UTF-8 at byte {len(separator) + 8}; convert it"):
        read(Files(corpora={"a": str(tmp_path / "t.txt")}, separator=separator))
