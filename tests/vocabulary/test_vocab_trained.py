"""Every vocab variant through train.py's own path: a base with other tokens, a record, a model that reloads."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from cptlab.data.tokenizer import load_tokenizer
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point

VARIANTS = {
    "extend": ["vocab=extend", "vocab.tokens=30"],
    "focus": ["vocab=extend", "vocab.tokens=30", "vocab.init=focus"],
    "replace": ["vocab=replace", "vocab.size=290"],
    "prune": ["vocab=prune", "vocab.corpora=[russian]"],
}


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome, json.loads((outcome.folder / "run.json").read_text())


def logits(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_and_its_model_has_the_new_tokenizer(overrides, base_run, name):
    outcome, facts = train([*overrides, *VARIANTS[name], "optimizer.peak_lr=1e-2"])
    changed = facts["base"]["vocab"]
    assert changed["variant"] == VARIANTS[name][0].split("=")[1]
    assert facts["base"]["run_id"] == base_run.name
    rows = [r for r in read_rows(outcome.folder) if r["domain"] == "russian" and r["split"] == "fit"]
    losses = {row["step"]: row["loss_sum"] / row["num_tokens"] for row in rows}
    assert losses[10] < losses[0] - 0.05
    saved = load_tokenizer(str(outcome.folder / "model"))
    assert saved.hash == facts["tokenizer_hash"] == changed["tokenizer_hash"]
    assert saved.vocab_size == changed["tokens"]["after"]
    model = AutoModelForCausalLM.from_pretrained(outcome.folder / "model")
    assert model.get_input_embeddings().weight.shape[0] == changed["rows"]["after"]
    assert AutoTokenizer.from_pretrained(outcome.folder / "model").eos_token_id == saved.eos_id
    fertility = changed["fertility"]["russian"]
    if name == "prune":
        assert fertility["after"] == fertility["before"]
    else:
        assert fertility["after"]["per_word"] < fertility["before"]["per_word"] / 2


@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_old_tokens_keep_their_logits_when_others_are_added(pretrained, untied, base_run, kind):
    base = untied if kind == "untied" else base_run / "model"
    point = open_point(compose_point([*pretrained, f"model.path={base}", *VARIANTS["extend"]]))
    folder = point.config.model.folder()
    before, after = load_file(base / "model.safetensors"), load_file(folder / "model.safetensors")
    assert before.keys() == after.keys()
    for name, old in before.items():
        assert after[name].dtype == old.dtype
        rows = 300 if name in ("model.embed_tokens.weight", "lm_head.weight") else len(old)
        assert torch.equal(after[name][:rows], old[:rows]), name
    ids = np.random.default_rng(0).integers(0, 300, 40).tolist()
    assert torch.equal(logits(folder, ids)[:, :300], logits(base, ids)[:, :300])


def test_padding_of_the_base_is_given_to_new_tokens_and_what_is_left_stays_padding(pretrained, untied):
    point = open_point(compose_point([*pretrained, f"model.path={untied}", *VARIANTS["extend"],
                                      "vocab.tokens=5"]))  # fmt: skip
    old, new = (load_file(f / "model.safetensors")["lm_head.weight"] for f in (untied, point.config.model.folder()))
    assert old.shape == new.shape == (320, 16)
    assert torch.equal(new[:300], old[:300])
    assert torch.equal(new[305:], old[319:].expand(15, -1))
    assert not torch.equal(new[300:305], old[300:305])


def test_a_new_token_is_the_mean_of_what_the_base_cuts_it_into(overrides, base_run):
    point = open_point(compose_point([*overrides, *VARIANTS["extend"]]))
    folder = point.config.model.folder()
    old, new = load_tokenizer(str(base_run / "model")), load_tokenizer(str(folder))
    table, grown = (
        load_file(f / "model.safetensors")["model.embed_tokens.weight"] for f in (base_run / "model", folder)
    )
    for index in (300, 329):
        parts = next(old.encode([new.decode([index])]))
        if "�" not in new.decode([index]):
            torch.testing.assert_close(grown[index], table[parts].double().mean(0).float())


def test_tokens_that_both_tokenizers_have_keep_their_embedding(overrides, base_run):
    point = open_point(compose_point([*overrides, *VARIANTS["replace"]]))
    folder = point.config.model.folder()
    old, new = load_tokenizer(str(base_run / "model")).backend, load_tokenizer(str(folder)).backend
    table, made = (
        load_file(f / "model.safetensors")["model.embed_tokens.weight"] for f in (base_run / "model", folder)
    )
    shared = set(old.get_vocab()) & set(new.get_vocab())
    assert len(shared) >= 257
    for token in shared:
        assert torch.equal(made[new.token_to_id(token)], table[old.token_to_id(token)])


def test_pruned_tokens_keep_their_logits(overrides, base_run):
    point = open_point(compose_point([*overrides, *VARIANTS["prune"]]))
    folder = point.config.model.folder()
    old, new = load_tokenizer(str(base_run / "model")), load_tokenizer(str(folder))
    text = "кот собака река"
    before, after = next(old.encode([text])), next(new.encode([text]))
    names = old.backend.get_vocab()
    places = [names[token] for token, _ in sorted(new.backend.get_vocab().items(), key=lambda pair: pair[1])]
    want = logits(base_run / "model", before)[:, places]
    torch.testing.assert_close(logits(folder, after)[:, : len(places)], want)
    config = json.loads((folder / "config.json").read_text())
    assert config["eos_token_id"] == new.eos_id
    assert config["vocab_size"] % 64 == 0


def test_lep_gives_the_adapted_bases_tokens_to_an_instruct_model(overrides, pretrained, base_run):
    adapted, _ = train([*overrides, *VARIANTS["extend"]])
    point = open_point(compose_point([*pretrained, f"model.path={base_run}", "vocab=lep",
                                      f"vocab.base={base_run}", f"vocab.adapted={adapted.folder}"]))  # fmt: skip
    folder = point.config.model.folder()
    got, want = (load_file(f / "model.safetensors") for f in (folder, adapted.folder / "model"))
    name = "model.embed_tokens.weight"
    torch.testing.assert_close(got[name][:330], want[name][:330])  # the instruct model is its base
    assert load_tokenizer(str(folder)).hash == load_tokenizer(str(adapted.folder / "model")).hash
    assert got["model.norm.weight"].equal(load_file(base_run / "model/model.safetensors")["model.norm.weight"])


def test_a_killed_run_goes_on_and_exports_with_its_own_tokens(overrides, tmp_path):
    from cptlab.export.folder import export

    arguments = [
        *overrides,
        *VARIANTS["extend"],
        "checkpoint.every_steps=4",
        "checkpoint.keep=3",
        "checkpoint.keep_finished=true",
    ]
    outcome, facts = train(arguments)
    done = export(outcome.folder, tmp_path / "final")
    assert done.reloaded.exact
    assert "| vocab | extend, init mean" in (tmp_path / "final/README.md").read_text()
    half = export(outcome.folder, tmp_path / "half", step="4")
    assert load_tokenizer(str(half.folder)).hash == facts["tokenizer_hash"]
    rows = read_rows(outcome.folder)
    (outcome.folder / "done.json").unlink()
    shutil.rmtree(outcome.folder / "checkpoints/step_10")
    again, _ = train(arguments)
    assert again.run_id == outcome.run_id
    key = ("step", "domain", "split", "loss_sum")
    last = [[row[k] for k in key] for row in read_rows(again.folder) if row["step"] == 10]
    assert [[row[k] for k in key] for row in rows if row["step"] == 10] == last[-len(last) // 2 :]


def test_a_run_without_a_change_is_named_as_before_there_was_any(overrides):
    from cptlab.training.facts import row_choices

    plain = compose_point(overrides)
    assert "vocab" not in row_choices(plain)
    names = {open_point(compose_point([*overrides, *more])).run_id
             for more in ([], ["vocab=none"], VARIANTS["extend"], VARIANTS["focus"])}  # fmt: skip
    assert len(names) == 3


def test_the_new_base_is_made_once(overrides, capfd):
    names = set()
    for _ in range(2):
        names.add(open_point(compose_point([*overrides, *VARIANTS["extend"]])).config.model.path)
    assert capfd.readouterr().err.count("making its base") == 1
    assert len(names) == 1
