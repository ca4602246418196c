"""What holds of every selection."""

import json
from pathlib import Path

import pytest

from cptlab.data.corpus import prepare
from cptlab.data.sources.base import split_of
from cptlab.errors import UserError
from cptlab.selection.dsir import DSIR
from cptlab.selection.got_d import GotD
from cptlab.selection.none import NoSelection
from cptlab.selection.perplexity import Perplexity
from cptlab.selection.quality_threshold import QualityThreshold
from cptlab.selection.quality_topk import QualityTopK
from cptlab.variants import discover_group

NAMES = ["none", "quality_threshold", "quality_topk", "perplexity", "dsir", "got_d"]


@pytest.fixture
def selections(corpus_folder, small_model):
    target = f"{corpus_folder}/target.jsonl"
    return {
        "none": NoSelection(),
        "quality_threshold": QualityThreshold(score="quality"),
        "quality_topk": QualityTopK(score="quality"),
        "perplexity": Perplexity(model=str(small_model), max_tokens=32),
        "dsir": DSIR(target=target),
        "got_d": GotD(target=target),
    }


def test_every_variant_is_under_contract(selections):
    assert set(discover_group("selection")) == set(NAMES) == set(selections)
    assert all(type(selections[name]) is discover_group("selection")[name] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_selection_keeps_some_training_documents_in_order_and_all_others(name, selections, source, tokenizer):
    before = source.documents()
    after, report = selections[name].filter(before, tokenizer, source)
    assert list(after) == ["general", "mixed"]
    assert list(after["general"]()) == list(before["general"]())
    everything, kept = ([d._replace(score=None) for d in side["mixed"]()] for side in (before, after))
    assert [d for d in kept if split_of(d) != "train"] == [d for d in everything if split_of(d) != "train"]
    place = iter(everything)
    assert all(document in place for document in kept)  # a subsequence
    assert [d._replace(score=None) for d in after["mixed"]()] == kept  # reading again gives the same
    if name == "none":
        assert report == {}
        assert kept == everything
        return
    training = [d for d in everything if split_of(d) == "train"]
    assert 0 < report["kept_documents"] < len(training)
    assert report["kept_documents"] + report["dropped_documents"] == len(training)
    assert report["kept_documents"] == sum(split_of(d) == "train" for d in kept)
    ids = list(tokenizer.encode(d.text for d in training))
    assert report["kept_tokens"] + report["dropped_tokens"] == sum(len(i) + 1 for i in ids)
    assert report["variant"] == name
    assert report["corpus"] == "mixed"
    json.dumps(report, allow_nan=False)


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_corpora_of_a_selection_lie_in_a_folder_of_their_own_with_the_same_held_out_text(name, selections, source):
    whole = prepare(source)
    selected = prepare(source, None, selections[name])
    assert selected.path != whole.path
    manifest = json.loads(Path(selected.path, "manifest.json").read_text())["selection"]
    train = selected["mixed"]["train"]
    assert (manifest["kept_documents"], manifest["kept_tokens"]) == (train.num_documents, train.num_tokens)
    assert train.num_documents + manifest["dropped_documents"] == whole["mixed"]["train"].num_documents
    assert train.num_tokens + manifest["dropped_tokens"] == whole["mixed"]["train"].num_tokens
    for split in ("valid", "fit", "test"):
        assert selected["mixed"][split].content_hash == whole["mixed"][split].content_hash
    assert selected["general"]["train"].content_hash == whole["general"]["train"].content_hash
    assert prepare(source, None, selections[name]).path == selected.path


@pytest.mark.parametrize("name", NAMES[1:])
def test_the_fingerprint_knows_every_field_and_no_selection_has_none(name, selections):
    selection = selections[name]
    first = selection.fingerprint()
    assert first == selection.fingerprint()
    assert NoSelection().fingerprint() == ""
    for field, value in {
        "corpus": "mixed",
        "minimum": 0.1,
        "share": 0.3,
        "low": 0.1,
        "seed": 7,
        "entropy": 0.3,
    }.items():
        if hasattr(selection, field):
            old = getattr(selection, field)
            setattr(selection, field, value)
            assert selection.fingerprint() != first
            setattr(selection, field, old)
    assert selection.fingerprint() == first


def test_a_target_or_model_counts_by_its_content_and_not_its_path(corpus_folder, small_model, tmp_path):
    import shutil

    shutil.copyfile(corpus_folder / "target.jsonl", tmp_path / "same.jsonl")
    shutil.copytree(small_model, tmp_path / "same_model")
    target, same = str(corpus_folder / "target.jsonl"), str(tmp_path / "same.jsonl")
    assert DSIR(target=target).fingerprint() == DSIR(target=same).fingerprint()
    models = [Perplexity(model=str(path)).fingerprint() for path in (small_model, tmp_path / "same_model")]
    assert models[0] == models[1]
    (tmp_path / "same.jsonl").write_text('{"text": "another"}\n')
    assert DSIR(target=target).fingerprint() != DSIR(target=same).fingerprint()


def test_a_selection_of_one_of_several_domains_must_name_it(source, tokenizer, corpus_folder):
    source.general = ""
    with pytest.raises(UserError, match=r"data has 2 corpora beside the general one \(general, mixed\); name the one"):
        QualityTopK(score="quality").filter(source.documents(), tokenizer, source)
    with pytest.raises(UserError, match=r"selection\.corpus=mixd is none of the corpora\. Did you mean mixed\?"):
        QualityTopK(score="quality", corpus="mixd").filter(source.documents(), tokenizer, source)
    assert QualityTopK(score="quality", corpus="mixed").filter(source.documents(), tokenizer, source).report
