import json
import random

import pytest

from cptlab.data.sources.files import Files
from cptlab.data.tokenizer import load_tokenizer, train_bpe

LAW = ["the", "court", "held", "that", "a", "tenant", "may", "appeal", "judgment", "of", "lower"]
FOOD = ["mix", "flour", "sugar", "and", "eggs", "then", "bake", "the", "cake", "until", "golden", "brown"]


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    """general.jsonl, mixed.jsonl (law and food in turn, with a score), target.jsonl (law) and a tokenizer."""
    folder = tmp_path_factory.mktemp("selection")
    rng = random.Random(0)

    def text(words):
        return " ".join(rng.choices(words, k=20))

    def write(name, entries):
        (folder / name).write_text("\n".join(json.dumps(entry) for entry in entries) + "\n")

    write("general.jsonl", [{"text": f"{i} " + text(LAW + FOOD)} for i in range(100)])
    write("target.jsonl", [{"text": f"{i} " + text(LAW)} for i in range(40)])
    mixed = [{"text": f"{i} " + text(LAW if i % 2 else FOOD), "quality": i / 300} for i in range(300)]
    write("mixed.jsonl", [*mixed, {"text": "300 no one has judged this", "quality": None}])
    train_bpe([entry["text"] for entry in mixed], 300, folder / "tokenizer")
    return folder


@pytest.fixture
def source(corpus_folder, tmp_path):
    return Files(
        corpora={"general": f"{corpus_folder}/general.jsonl", "mixed": f"{corpus_folder}/mixed.jsonl"},
        general="general", tokenizer=f"{corpus_folder}/tokenizer", cache_dir=f"{tmp_path}/cache", sequence_length=8,
    )  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer(corpus_folder):
    return load_tokenizer(f"{corpus_folder}/tokenizer")


@pytest.fixture(scope="session")
def small_model(corpus_folder):
    """A folder with a random tiny model and its tokenizer."""
    import shutil

    from cptlab.models.tiny import Tiny

    folder = corpus_folder / "small_model"
    model = Tiny(size="custom", width=16, depth=1, heads=2, feed_forward=32).build(300, 64, 0)
    model.save_pretrained(folder, safe_serialization=True)
    for file in (corpus_folder / "tokenizer").iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder
