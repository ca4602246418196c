"""A base that was trained on prose, an untied one with padded embeddings, and a text in another alphabet."""

import json
import random
import shutil

import pytest

WORDS = ["кот", "собака", "домик", "река", "лодка", "ветер", "полка", "мост"]


@pytest.fixture(scope="session")
def other_language(tmp_path_factory):
    """A corpus of made-up Russian as JSON lines."""
    rng = random.Random(1)
    file = tmp_path_factory.mktemp("russian") / "ru.jsonl"
    lines = [json.dumps({"text": " ".join(rng.choices(WORDS, k=60))}) for _ in range(300)]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="session")
def base_run(study, tmp_path_factory):
    """Finished run: a tied base with a byte-level BPE of 300 tokens."""
    from cptlab.sweeps.preflight import compose_point
    from cptlab.training.run import train_point

    overrides = [*study, f"runs={tmp_path_factory.mktemp('bases')}", "mixture=general_only"]
    return train_point(compose_point(overrides), overrides, quiet=True).folder


@pytest.fixture(scope="session")
def untied(base_run, tmp_path_factory):
    """Hugging Face folder: head apart from the embeddings, 320 rows for 300 tokens, bf16."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("untied")
    config = LlamaConfig(
        vocab_size=320, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=False, eos_token_id=0, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base_run / "model" / name, folder / name)
    return folder


@pytest.fixture
def overrides(study, base_run, other_language, tmp_path):
    """A run on prose and Russian that starts from the trained base."""
    prose = study[1].split("prose: ")[1].split(",")[0]
    return [
        *(each for each in study if not each.startswith("data.corpora=")),
        f"data.corpora={{prose: {prose}, russian: {other_language}}}",
        f"model.base_run={base_run}",
        f"runs={tmp_path}/runs",
        f"data.cache_dir={tmp_path}/cache",
    ]


@pytest.fixture
def pretrained(overrides):
    """The same run without a model; add `model.path=FOLDER`."""
    return [*(each for each in overrides if not each.startswith("model.")), "model=pretrained"]
