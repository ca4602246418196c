"""What cannot get other tokens is refused before training, with the mend."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point


def refused(overrides, match):
    with pytest.raises(UserError, match=match):
        open_point(compose_point(overrides))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["vocab=extend", "vocab.tokens=0"], "vocab.tokens=0"),
        (["vocab=extend", "vocab.init=random"], r"vocab\.init is random.*focus"),
        (["vocab=extend", "vocab.pad_to=0"], r"vocab\.pad_to is 0"),
        (["vocab=replace", "vocab.size=100"], r"vocab\.size is 100"),
        (["vocab=prune", "vocab.min_count=0"], r"vocab\.min_count is 0"),
        (["vocab=lep"], r"vocab=lep needs vocab\.base"),
        (["vocab=extend", "vocab.corpora=[russion]"], "Did you mean russian"),
        (["vocab=extend", "vocab.min_frequency=1000000"], "found no pair"),
        (["vocab=extend", "model.base_run="], "starts from random weights"),
        (["vocab=lep", "vocab.base=nowhere", "vocab.adapted=nowhere"], r"vocab\.base: nowhere holds no config\.json"),
    ],
)
def test_a_wrong_field_is_named(overrides, more, match):
    refused([*overrides, *more], match)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["machine.attention=flash_attention_2"], r"machine\.attention=flash_attention_2: it needs a GPU"),
        (["adapter=lora", "adapter.targets=[q_porj]"], r"adapter\.targets names q_porj.*Did you mean q_proj"),
        (
            ["data.sequence_length=4096", "tokens=65536"],
            r"data\.sequence_length is 4096; the model in .* takes at most \d+$",
        ),
        (["machine=cpu_2", "rows_per_step=5"], "which 2 processes cannot share evenly"),
    ],
)
def test_what_hangs_on_no_token_is_refused_before_a_base_is_made(overrides, tmp_path, more, match):
    refused([*overrides, "vocab=extend", "vocab.tokens=10", *more], match)
    assert not (tmp_path / "cache").exists()


def test_a_tokenizer_with_more_tokens_than_rows_is_refused_with_and_without_a_change(pretrained, base_run, tmp_path):
    folder = shutil.copytree(base_run / "model", tmp_path / "short")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:290].clone()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"vocab_size": 290}
    (folder / "config.json").write_text(json.dumps(config))
    path = f"model.path={folder}"
    refused([*pretrained, path], "300 tokens but the model in .* embeds 290.*vocab=extend")
    refused([*pretrained, path, "vocab=extend"], "300 tokens but the model embeds 290")


def test_a_stream_whose_tokenizer_would_change_is_refused(overrides):
    chosen = [*overrides, "vocab=extend", "vocab.tokens=10", "tokens=64", "evaluation.points=1"]
    first = train_point(compose_point(chosen), chosen, quiet=True)
    again = [*overrides, f"model.base_run={first.folder}"]
    refused([*again, "vocab=extend"], "stream keeps one tokenizer; use vocab=none")
    assert open_point(compose_point(again)).corpora.vocab_size == 310


def test_another_tokenizer_for_the_text_than_the_new_base_has_is_refused(overrides, base_run):
    refused([*overrides, "vocab=extend", "vocab.tokens=10", f"data.tokenizer={base_run}/model"], "data.tokenizer=auto")


def test_text_that_was_cut_before_is_refused(overrides, base_run, tmp_path):
    built = open_point(compose_point(overrides)).corpora
    files = next(iter(built.corpora.values()))["train"].path
    tokens = [
        "data=tokens",
        f"data.corpora={{prose: {files}}}",
        f"data.tokenizer={base_run}/model",
        "mixture=general_only",
    ]
    kept = [o for o in overrides if not o.startswith(("data=", "data.corpora", "data.vocab_size"))]
    refused([*kept, *tokens, "vocab=extend"], "use data=files or data=hub|has no index")


def test_an_instruct_model_of_another_width_is_refused(pretrained, base_run, untied):
    path = [f"model.path={untied}", "vocab=lep", f"vocab.base={base_run}", f"vocab.adapted={base_run}"]
    refused([*pretrained, *path], "models of one family and size")
