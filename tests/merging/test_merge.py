"""`cptlab merge` on Hugging Face folders: what it writes, how much it holds, what it refuses."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from cptlab import cli
from cptlab.data.tokenizer import train_bpe
from cptlab.errors import UserError
from cptlab.merging.merge import merge
from cptlab.merging.recipe import Recipe
from cptlab.models.tensor_files import Entry, TensorFolder, read_head, write_file


def llama(folder, seed, tied=True, kind=torch.float32, **more):
    torch.manual_seed(seed)
    fields = {"vocab_size": 257, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2,
              "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32,
              "tie_word_embeddings": tied, "eos_token_id": 0, "bos_token_id": None}  # fmt: skip
    LlamaForCausalLM(LlamaConfig(**fields | more)).to(kind).save_pretrained(folder, max_shard_size="4KB")
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """base, instruct, cpt: three models of one shape in several files each, with one tokenizer."""
    root = tmp_path_factory.mktemp("models")
    train_bpe(["a text"], 257, root / "tokenizer")
    found = {}
    for seed, name in enumerate(["base", "instruct", "cpt"]):
        found[name] = llama(root / name, seed)
        for file in (root / "tokenizer").iterdir():
            shutil.copyfile(file, found[name] / file.name)
    (found["instruct"] / "chat_template.jinja").write_text("{{ messages }}")
    return found


def tensors(folder):
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def refused(match, recipe, to, **more):
    with pytest.raises(UserError, match=match):
        merge(recipe, to, **more)
    assert not to.exists()
    assert not list(to.parent.glob(f".{to.name}.*"))


def test_a_weight_of_one_writes_the_same_tensors_in_the_same_files(models, tmp_path):
    merge(Recipe("linear", (models["cpt"], models["base"]), weights=(1.0, 0.0)), tmp_path / "out")
    files = sorted(f.name for f in models["cpt"].glob("*.safetensors"))
    assert len(files) > 1
    assert sorted(f.name for f in (tmp_path / "out").glob("*.safetensors")) == files
    want, got = tensors(models["cpt"]), tensors(tmp_path / "out")
    assert want.keys() == got.keys()
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_linear_merges_load_in_transformers_with_the_mean_of_the_weights(models, tmp_path):
    merge(Recipe("linear", (models["cpt"], models["base"]), weights=(0.5, 0.5)), tmp_path / "out")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    one, two = tensors(models["cpt"]), tensors(models["base"])
    for name in one:
        torch.testing.assert_close(loaded[name], (one[name] + two[name]) / 2)


def test_a_chat_vector_of_identical_models_changes_nothing(models, tmp_path):
    recipe = Recipe("chat-vector", (models["cpt"],), models["base"], models["base"], (1.0,))
    merge(recipe, tmp_path / "out")
    want, got = tensors(models["cpt"]), tensors(tmp_path / "out")
    assert all(torch.equal(got[name], want[name]) for name in want)


def test_the_instruct_residual_on_an_untouched_base_is_the_instruct_model_and_speaks_like_it(models, tmp_path):
    recipe = Recipe("chat-vector", (models["base"],), models["base"], models["instruct"], (1.0,))
    merge(recipe, tmp_path / "out")
    want, got = tensors(models["instruct"]), tensors(tmp_path / "out")
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert (tmp_path / "out/chat_template.jinja").read_text() == "{{ messages }}"


def test_the_command_writes_a_model_and_a_card_with_the_recipe(models, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["merge", "ties", str(models["cpt"]), str(models["instruct"]), "--base", str(models["base"]),
                  "--density", "0.5", "--scale", "0.7", "--to", str(tmp_path / "out"), "--dtype", "bf16"])  # fmt: skip
    assert end.value.code == 0
    assert "configuration, tokenizer, README.md" in capsys.readouterr().out
    card = (tmp_path / "out/README.md").read_text()
    assert all(
        text in card
        for text in ("A ties merge", "| density | 0.5 |", "| scale | 0.7 |", "| base | base |", "2306.01708")
    )
    assert str(tmp_path) not in card
    assert {tensor.dtype for tensor in tensors(tmp_path / "out").values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "bfloat16"


def test_the_instruct_residual_is_another_name_of_the_chat_vector(models, tmp_path):
    with pytest.raises(SystemExit) as end:
        cli.main(["merge", "instruct-residual", str(models["cpt"]), "--base", str(models["base"]), "--instruct",
                  str(models["instruct"]), "--weight", "0.5", "--to", str(tmp_path / "out")])  # fmt: skip
    assert end.value.code == 0
    name = "model.layers.1.mlp.up_proj.weight"
    cpt, instruct, base = (tensors(models[model])[name] for model in ("cpt", "instruct", "base"))
    torch.testing.assert_close(tensors(tmp_path / "out")[name], cpt + 0.5 * (instruct - base))


def test_one_tensor_of_each_model_is_read_at_a_time(models, tmp_path, monkeypatch):
    import weakref

    living, most = weakref.WeakSet(), 0
    read = TensorFolder.__getitem__

    def counted(folder, name):
        nonlocal most
        tensor = read(folder, name)
        living.add(tensor)
        most = max(most, len(living))
        return tensor

    monkeypatch.setattr(TensorFolder, "__getitem__", counted)
    merge(Recipe("slerp", (models["cpt"], models["base"])), tmp_path / "out")
    assert 2 <= most <= 4  # of two models; those written last may still be held


def test_embeddings_of_a_larger_vocabulary_are_kept(models, tmp_path):
    grown = llama(tmp_path / "grown", 5, vocab_size=300)
    recipe = Recipe("chat-vector", (grown,), models["base"], models["instruct"], (1.0,))
    refused(r"embed_tokens.weight is \[300, 8\].*--keep-embeddings", recipe, tmp_path / "out")
    done = merge(recipe, tmp_path / "out", keep_embeddings=True)
    assert done.kept == 1
    want, got = tensors(grown), tensors(tmp_path / "out")
    assert torch.equal(got["model.embed_tokens.weight"], want["model.embed_tokens.weight"])
    assert not torch.equal(got["model.layers.0.mlp.up_proj.weight"], want["model.layers.0.mlp.up_proj.weight"])


def test_models_that_do_not_fit_are_refused(models, tmp_path):
    def pair(other):
        return Recipe("slerp", (models["cpt"], other))

    out = tmp_path / "out"
    refused("one of them|has no tensor lm_head.weight", pair(llama(tmp_path / "untied", 0, tied=False)), out)
    refused("layers.1.* has|has no tensor model.layers.1", pair(llama(tmp_path / "short", 0, num_hidden_layers=1)), out)
    refused(
        r"is \[8\] in .* and \[16\]|is \[\d+, 8\] in .* and \[\d+, 16\]",
        pair(llama(tmp_path / "wide", 0, hidden_size=16)),
        out,
    )
    other = shutil.copytree(models["base"], tmp_path / "other")
    train_bpe(["quite another text with other words"], 257, tmp_path / "t")
    spec = json.loads((tmp_path / "t/tokenizer.json").read_text())
    vocab = spec["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    (other / "tokenizer.json").write_text(json.dumps(spec))
    refused("different tokenizers", pair(other), out)
    refused("holds no config.json", pair(tmp_path / "nowhere"), out)
    refused("--dtype is fp8", pair(models["base"]), out, dtype="fp8")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    refused("holds an adapter", pair(adapter), out)


def test_a_folder_that_is_there_is_not_written_over(models, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("x")
    with pytest.raises(UserError, match="is there already"):
        merge(Recipe("slerp", (models["cpt"], models["base"])), tmp_path / "out")
    assert (tmp_path / "out/mine").read_text() == "x"


def test_a_cut_or_missing_file_is_named(models, tmp_path):
    cut = shutil.copytree(models["base"], tmp_path / "cut")
    file = sorted(cut.glob("*.safetensors"))[1]
    file.write_bytes(file.read_bytes()[:-8])
    refused("head promises", Recipe("slerp", (models["cpt"], cut)), tmp_path / "out")
    file.unlink()
    refused(f"lacks {file.name}", Recipe("slerp", (models["cpt"], cut)), tmp_path / "out")
    file.write_bytes(b"no tensors")
    refused("no whole safetensors file", Recipe("slerp", (models["cpt"], cut)), tmp_path / "out")


def test_written_files_are_safetensors_files_of_every_type(tmp_path):
    made = {"a": torch.tensor([[1.5, -2]]), "b": torch.tensor([3], dtype=torch.bfloat16),
            "c": torch.tensor([1, 2, 3], dtype=torch.uint8), "d": torch.zeros(0, 4), "e": torch.tensor(7)}  # fmt: skip
    kinds = {"a": "F32", "b": "BF16", "c": "U8", "d": "F32", "e": "I64"}
    entries = {name: Entry("x.safetensors", kinds[name], tuple(tensor.shape)) for name, tensor in made.items()}
    write_file(tmp_path / "x.safetensors", entries, made.__getitem__)
    for name, tensor in load_file(tmp_path / "x.safetensors").items():
        assert torch.equal(tensor, made[name])
    save_file(made, tmp_path / "y.safetensors")
    ours, theirs = (read_head(tmp_path / f"{name}.safetensors")[0] for name in "xy")
    assert {n: (e["dtype"], e["shape"]) for n, e in ours.items()} == {
        n: (e["dtype"], e["shape"]) for n, e in theirs.items()
    }
