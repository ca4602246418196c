"""Parameters and shape of a configured model before it is built, from its dimensions or from the heads of its files."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.training.flops import Shape, windows

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

ENDS = ("embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "lm_head.weight",
        "embed_out.weight")  # fmt: skip
INPUTS = ENDS[:4]
PLACES = ("wpe.weight", "embed_positions.weight", "position_embeddings.weight")  # tables too, and no linear layers


@dataclass(frozen=True)
class Counts:
    """nonembed: N of the laws; total: all, tied ones once; trainable: an adapter's own; shape: what costs FLOPs."""

    nonembed: int
    total: int
    trainable: int
    shape: Shape


def count(config: TrainConfig, vocab_size: int) -> Counts:
    """Of the model that a point trains; a tiny one's base need not be there."""
    folder = config.model.folder()
    if folder and (folder.is_dir() or not hasattr(config.model, "dimensions")):
        shapes = {name: shape for file in sorted(folder.glob("*.safetensors")) for name, shape in heads(file).items()}
        settings = json.loads((folder / "config.json").read_text("utf8"))
        settings |= settings.get("text_config") or {}
    else:
        shapes, settings = tiny(config.model, vocab_size)
    return adapted(shapes, settings, config.adapter) if config.adapter.identity() else counted(shapes, settings)


def tiny(model: Any, vocab_size: int) -> tuple[dict[str, list[int]], dict[str, Any]]:
    """Shapes and settings of the Llama that `model=tiny` builds, its table tied."""
    width, depth, heads, feed_forward = model.dimensions
    square, up = [width, width], [feed_forward, width]
    block = dict.fromkeys((f"self_attn.{name}_proj.weight" for name in "qkvo"), square)
    block |= {"mlp.gate_proj.weight": up, "mlp.up_proj.weight": up, "mlp.down_proj.weight": up[::-1]}
    block |= {"input_layernorm.weight": [width], "post_attention_layernorm.weight": [width]}
    shapes = {f"layers.{i}.{name}": shape for i in range(depth) for name, shape in block.items()}
    shapes |= {"norm.weight": [width], "embed_tokens.weight": [vocab_size, width]}
    return shapes, {"num_hidden_layers": depth, "num_attention_heads": heads, "hidden_size": width}


def counted(shapes: Mapping[str, Sequence[int]], config: Mapping[str, Any]) -> Counts:
    """Of a model without an adapter. config: what its config.json says."""
    numbers = {name: math.prod(shape) for name, shape in shapes.items()}
    total = sum(numbers.values())
    nonembed = total - sum(n for name, n in numbers.items() if name.endswith(ENDS))
    tied = not any(name.endswith(ENDS[4:]) for name in numbers)
    skipped = 0 if tied else sum(n for name, n in numbers.items() if name.endswith(INPUTS))
    experts = _active(config)
    params = round(sum(n * (experts if ".experts." in name else 1) for name, n in numbers.items()) - skipped)
    depth, attention = config["num_hidden_layers"], config["num_attention_heads"]
    width = attention * (config.get("head_dim") or config["hidden_size"] // attention)
    return Counts(nonembed, total, total, Shape(params, params, width, windows(_Fields(depth, config))))


def adapted(shapes: Mapping[str, Sequence[int]], config: Mapping[str, Any], adapter: Any) -> Counts:
    """Of a frozen model with LoRA's A (rank, inputs) and B (outputs, rank) beside its targets, DoRA's lengths too."""
    plain, experts = counted(shapes, config), _active(config)
    every = "all-linear" in adapter.targets
    own = met = 0.0
    for name, shape in shapes.items():
        layer = name.removesuffix(".weight").rpartition(".")[2]
        if len(shape) == 2 and not name.endswith((*ENDS, *PLACES)) and (every or layer in adapter.targets):
            number = adapter.rank * sum(shape) + shape[0] * (adapter.variant_name == "dora")
            own, met = own + number, met + number * (experts if ".experts." in name else 1)
    ends = {name: math.prod(shape) for name, shape in shapes.items() if name.endswith(ENDS)}
    tied = not any(name.endswith(ENDS[4:]) for name in ends)
    tables = sum(ends.values()) if adapter.train_embeddings else 0
    multiplied = sum(n for name, n in ends.items() if tied or name.endswith(ENDS[4:])) if tables else 0
    shape = plain.shape
    return Counts(
        plain.nonembed, plain.total, round(own) + tables,
        Shape(shape.params + round(met), round(met) + multiplied, shape.width, shape.windows),
    )  # fmt: skip


def heads(file: Path) -> dict[str, list[int]]:
    """{tensor: shape} of a safetensors file."""
    with file.open("rb") as handle:
        head = json.loads(handle.read(struct.unpack("<Q", handle.read(8))[0]))
    return {name: entry["shape"] for name, entry in head.items() if name != "__metadata__"}


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
