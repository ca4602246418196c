"""`model=tiny`: a small Llama of transformers, for proxy grids that a laptop can train."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError, closest
from cptlab.models.base import Base, Model, base_of_run, load_pretrained
from cptlab.variants import variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# size -> (width, depth, heads, feed-forward width); the name is the number of non-embedding parameters.
# The quick start's three share one depth: a two-layer 100k copies from its context far worse than a three-layer
# 300k, and then no E + A/N^alpha describes the family.
SIZES = {
    "30k": (32, 3, 2, 64),
    "100k": (56, 3, 4, 128),
    "300k": (96, 3, 4, 224),
    "1m": (160, 3, 5, 448),
    "3m": (256, 4, 4, 704),
    "10m": (384, 6, 6, 1024),
}


@variant("model")
@dataclass(kw_only=True)
class Tiny(Model):
    """A named `size`, or `size=custom` with width, depth, heads and feed_forward.

    `base_run` is the folder of the run that trained the weights; "" starts from random ones (pre-training).
    """

    size: str = "100k"  # one of SIZES, or custom
    base_run: str = ""  # run folder of the base model; "" = random weights
    width: int = 0  # hidden size, for size=custom
    depth: int = 0  # number of layers, for size=custom
    heads: int = 0  # attention heads; must divide width, for size=custom
    feed_forward: int = 0  # width of the SwiGLU layer, for size=custom

    def __post_init__(self) -> None:
        if self.size != "custom" and self.size not in SIZES:
            raise UserError(f"model.size is {self.size}.{closest(self.size, [*SIZES, 'custom'])}")
        if self.size == "custom":
            for name in ("width", "depth", "heads", "feed_forward"):
                if getattr(self, name) < 1:
                    raise UserError(f"model.size=custom needs model.{name} of 1 or more (it is {getattr(self, name)})")
            if self.width % (2 * self.heads):
                raise UserError(f"model.width {self.width} must be a multiple of 2 x model.heads ({2 * self.heads})")
        elif any((self.width, self.depth, self.heads, self.feed_forward)):
            raise UserError(f"model.size={self.size} fixes width, depth, heads and feed_forward; use model.size=custom")

    @property
    def dimensions(self) -> tuple[int, int, int, int]:
        """(width, depth, heads, feed_forward)."""
        return SIZES.get(self.size, (self.width, self.depth, self.heads, self.feed_forward))

    def folder(self) -> Path | None:
        """`model/` of the base's run folder."""
        return Path(self.base_run) / "model" if self.base_run else None

    def base(self) -> Base:
        """The base's record, checked: it exists, is whole, and has this size."""
        if not self.base_run:
            return Base(kind="scratch")
        run = Path(self.base_run)
        if not (run / "done.json").exists():
            raise UserError(
                f"model.base_run: no trained base in {run}; `make bases` trains those of the quick start, and"
                f" `python train.py model=tiny model.size={self.size} mixture=general_only` one of your own"
            )
        base = base_of_run(run)
        config = json.loads((run / "model" / "config.json").read_text("utf8"))
        keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        found = tuple(config[key] for key in keys)
        if found != self.dimensions:
            raise UserError(
                f"model.size={self.size} has {self.dimensions} (width, depth, heads, FFN) but the base in {run}"
                f" has {found}; name the base of this size"
            )
        return base

    def identity(self) -> dict:
        """The dimensions; the weights enter by their hash."""
        return {"dimensions": list(self.dimensions)}

    def build(self, vocab_size: int, sequence_length: int, seed: int) -> PreTrainedModel:
        """The base's weights, or fresh ones from `seed`."""
        folder = self.folder()
        if folder:
            return load_pretrained(folder, vocab_size, sequence_length)
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        width, depth, heads, feed_forward = self.dimensions
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=vocab_size, hidden_size=width, intermediate_size=feed_forward, num_hidden_layers=depth,
            num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=sequence_length,
            tie_word_embeddings=True,
        )  # fmt: skip
        config._attn_implementation = "sdpa"
        return LlamaForCausalLM(config)
