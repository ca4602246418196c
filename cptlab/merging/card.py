"""The model card of a merged model: which models, by hash, in which recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cptlab.export.card import table
from cptlab.merging.recipe import METHODS, Recipe

PACKAGES = ("cptlab", "torch", "safetensors")
SOURCES = {
    "linear": "Wortsman et al. 2022, arXiv 2203.05482",
    "slerp": "Shoemake 1985",
    "ties": "Yadav et al. 2023, arXiv 2306.01708 (trimmed by tensor)",
    "chat-vector": "Huang et al. 2023, arXiv 2310.04799; as the instruct residual of CPT: arXiv 2410.10739",
}


def card(
    recipe: Recipe,
    models: Sequence[tuple[str, Path, str]],
    weights_sha256: str,
    keeps_embeddings: bool,
    tokenizers_compared: bool,
    dtype: str,
) -> str:
    """Markdown with a YAML head. models: (role, folder, SHA-256 of its weights); folders appear by name alone."""
    parameters = [(name, str(value)) for name, value in recipe.parameters.items()]
    tokenizer = "the first model's; the others' may differ" if keeps_embeddings else "the same ids in all models"
    rows = [
        ("method", f"{recipe.method}: {METHODS[recipe.method]}"),
        *parameters,
        ("embeddings and head", "of the first model, as they were" if keeps_embeddings else "merged like the rest"),
        ("tokenizer", tokenizer if keeps_embeddings or tokenizers_compared else "not compared: no tokenizer.json"),
        ("computed in", "float64, a tensor at a time"),
        ("stored as", dtype or "the first model's types"),
        ("versions", ", ".join(f"{name} {installed(name)}" for name in PACKAGES if installed(name))),
        ("source", SOURCES[recipe.method]),
    ]
    return "\n\n".join([
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- cptlab\n- merge\n---",
        f"# A {recipe.method} merge",
        "Merged by cptlab. The licence is yours to state: it depends on the models below.",
        table(("what", "value"), rows),
        table(("role", "folder", "run", "weights (SHA-256)"), [
            (role, name_of(path), run_of(path), digest[:12]) for role, path, digest in models
        ]),
        f"SHA-256 of the weights: `{weights_sha256}`.",
    ]) + "\n"  # fmt: skip


def name_of(path: Path) -> str:
    """The folder's name; of a run its run_id."""
    return path.resolve().parent.name if path.name == "model" else path.resolve().name


def run_of(path: Path) -> str:
    """run_id of the cptlab run whose weights these are, "" if none."""
    record = path.parent / "run.json"
    return json.loads(record.read_text("utf8"))["run_id"] if path.name == "model" and record.is_file() else ""


def installed(name: str) -> str:
    """Version of an installed package, "" if it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
