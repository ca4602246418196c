"""The models, devices and tables of `train_gpu.py`: Llama shapes, peaks of an H200, rows of a table."""

from __future__ import annotations

from dataclasses import dataclass

PEAK_FLOPS, BANDWIDTH = 989e12, 4.8e12  # H200: dense bf16 [FLOP/s], memory [B/s]


@dataclass(frozen=True)
class Llama:
    """A Llama with tied embeddings, its rows and passes."""

    name: str
    width: int
    depth: int
    heads: int
    groups: int  # heads of keys and values
    feed_forward: int
    vocab: int
    length: int  # tokens of a row
    rows: int  # of an optimizer step
    passes: tuple[int, ...]  # rows of one pass: the first that fits the memory

    @property
    def keys(self) -> int:
        return self.width // self.heads * self.groups

    @property
    def matrices(self) -> int:
        """Parameters of the blocks that are multiplied with."""
        return self.depth * self.width * (2 * self.width + 2 * self.keys + 3 * self.feed_forward)

    @property
    def head(self) -> int:
        return self.vocab * self.width

    @property
    def flops_per_token(self) -> float:
        """6N + 12LdT, attention not halved, as docs/throughput.md has it."""
        norms = (2 * self.depth + 1) * self.width
        return 6 * (self.matrices + self.head + norms) + 12 * self.depth * self.width * self.length

    def __str__(self) -> str:
        return (
            f"{self.name}: width {self.width}, {self.depth} layers, {self.heads} heads ({self.groups} of keys), feed-forward"
            f" {self.feed_forward}, vocabulary {self.vocab}, tied, {(self.matrices + self.head) / 1e9:.3f}B parameters,"
            f" rows of {self.length}, {self.rows} a step"
        )

    def build(self, device: str = "cpu"):
        """In fp32."""
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=self.vocab, hidden_size=self.width, intermediate_size=self.feed_forward,
            num_hidden_layers=self.depth, num_attention_heads=self.heads, num_key_value_heads=self.groups,
            max_position_embeddings=self.length, tie_word_embeddings=True,
        )  # fmt: skip
        config._attn_implementation = "sdpa"
        with torch.device(device):
            return LlamaForCausalLM(config)


SHAPES = {  # 1B is that of Llama 3.2 1B, 125M that of GPT-2 small with Llama's blocks
    "1b": Llama("1B", 2048, 16, 32, 8, 8192, 128256, 4096, 16, (8, 4, 2)),
    "125m": Llama("125M", 768, 12, 12, 12, 2048, 50304, 4096, 32, (16, 8, 4)),
}
TINY = {name: Llama(f"tiny for {name}", 32, 2, 2, 1, 64, 256, 32, 4, (2,)) for name in SHAPES}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
