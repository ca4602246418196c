"""Parameters and shape of a configured model before it is built, from its dimensions or from the heads of its files."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.models.tiny import Tiny
from cptlab.training.flops import Shape, windows

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

ENDS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "lm_head.weight",
        "embed_out.weight")  # fmt: skip
INPUTS = ENDS[:4]


@dataclass(frozen=True)
class Counts:
    """nonembed: N of the laws; total: all, tied ones once; shape: what costs FLOPs."""

    nonembed: int
    total: int
    shape: Shape


def count(config: TrainConfig, vocab_size: int) -> Counts:
    """Of the model that a point trains. An adapter's own weights are not known before it is built: they count 0."""
    folder = config.model.folder()
    counts = of_folder(folder) if folder else of_tiny(config.model, vocab_size)
    if config.adapter.identity():
        counts = Counts(counts.nonembed, counts.total, Shape(counts.shape.params, 0, counts.shape.width,
                                                             counts.shape.windows))  # fmt: skip
    return counts


def of_tiny(model: Any, vocab_size: int) -> Counts:
    """A Llama of `model=tiny`: 4 d^2 attention, 3 d f feed-forward, 2 d norms a layer, one norm, a tied table."""
    assert isinstance(model, Tiny)
    width, depth, _, feed_forward = model.dimensions
    nonembed = depth * (4 * width**2 + 3 * width * feed_forward + 2 * width) + width
    total = nonembed + vocab_size * width
    return Counts(nonembed, total, Shape(total, total, width, (0,) * depth))


def of_folder(folder: Path) -> Counts:
    """A Hugging Face folder: shapes from the heads of the safetensors files, nothing else of them is read."""
    config = json.loads((folder / "config.json").read_text("utf8"))
    config |= config.get("text_config") or {}
    numbers = {name: n for file in sorted(folder.glob("*.safetensors")) for name, n in heads(file).items()}
    total = sum(numbers.values())
    nonembed = total - sum(n for name, n in numbers.items() if name.endswith(ENDS))
    tied = not any(name.endswith(ENDS[4:]) for name in numbers)
    skipped = 0 if tied else sum(n for name, n in numbers.items() if name.endswith(INPUTS))
    experts = _active(config)
    params = round(sum(n * (experts if ".experts." in name else 1) for name, n in numbers.items()) - skipped)
    depth, attention = config["num_hidden_layers"], config["num_attention_heads"]
    width = attention * (config.get("head_dim") or config["hidden_size"] // attention)
    return Counts(nonembed, total, Shape(params, params, width, windows(_Fields(depth, config))))


def heads(file: Path) -> dict[str, int]:
    """{tensor: numbers in it} of a safetensors file."""
    with file.open("rb") as handle:
        head = json.loads(handle.read(struct.unpack("<Q", handle.read(8))[0]))
    return {name: math.prod(entry["shape"]) for name, entry in head.items() if name != "__metadata__"}


def _active(config: Mapping[str, Any]) -> float:
    """Share of a mixture's experts that a token meets."""
    total = next(
        (config[key] for key in ("num_local_experts", "num_experts", "n_routed_experts") if config.get(key)), 0
    )
    return config["num_experts_per_tok"] / total if total and config.get("num_experts_per_tok") else 1.0


class _Fields:
    """A config.json as the object that `windows` reads."""

    def __init__(self, depth: int, config: Mapping[str, Any]) -> None:
        self.num_hidden_layers = depth
        self.sliding_window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
        self.layer_types = config.get("layer_types")
