"""Model FLOPs of a training token, as the field counts them for MFU.

    flops/token = 4 N + 2 N_trained + 12 d sum_l min(T, w_l)

N: parameters without input embeddings, the output head with them (a tied one counts once: it is multiplied with).
N_trained: those of N that get a gradient; all of them give the usual 6 N: 2 N forward, 2 N for the gradient of the
inputs, 2 N for that of the weights. The last term is attention: 4 d T a layer forward (scores and values), twice that
backward, d = heads x head width, T tokens a row, w_l the window of layer l (T where it has none). Without windows it is
12 L d T (Chowdhery et al. 2022, arXiv 2204.02311, appendix B, as nanochat and torchtitan count). It is NOT halved for
the causal mask; `causal=True` halves it, which is what a kernel that skips masked blocks has to do. Recomputation
(activation checkpointing) and the mask of packed documents are not counted: the first adds work, the second saves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Shape:
    """What of a model costs FLOPs.

    params: N, trained: N_trained; width: heads x head width; windows: tokens that each layer's attention looks back
    on, 0 = the whole row. A mixture of experts counts the parameters that a token meets.
    """

    params: int
    trained: int
    width: int
    windows: tuple[int, ...]

    def flops_per_token(self, sequence_length: int, causal: bool = False) -> float:
        """The formula above [FLOP/token]."""
        seen = sum(min(sequence_length, window or sequence_length) for window in self.windows)
        return 4 * self.params + 2 * self.trained + 12 * self.width * seen * (0.5 if causal else 1)

    def formula(self, sequence_length: int) -> str:
        """'6N + 12LdT; N = 1.24e+09 without input embeddings, L = 16, d = 2048, T = 4096, ...'.

        Terms stand before the semicolon; adapters: '4N + 2N_trained + 12LdT; N = ..., N_trained = ..., ...'.
        """
        params, trained = "6N", ""
        if self.trained != self.params:
            params, trained = "4N + 2N_trained", f" N_trained = {self.trained:.4g},"
        windows = f", windows {sorted(set(self.windows))}" if any(self.windows) else ""
        return (
            f"{params} + 12LdT; N = {self.params:.4g} without input embeddings,{trained} L = {len(self.windows)},"
            f" d = {self.width}, T = {sequence_length}{windows}, not halved for the causal mask, recomputation not"
            " counted"
        )


def shape_of(model: PreTrainedModel) -> Shape:
    """Shape of a causal LM of transformers, adapters and 4-bit weights included; sharded tensors count whole."""
    config = model.config.get_text_config()
    head = model.get_output_embeddings()
    inputs = model.get_input_embeddings()
    # An untied input table is looked up, not multiplied with.
    skipped = set() if head is None or inputs.weight is head.weight else {id(inputs.weight)}
    params = trained = 0.0
    for name, weight in model.named_parameters():
        if id(weight) not in skipped:
            number = numel(weight) * active(config, name, weight)
            params += number
            trained += number * weight.requires_grad
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    return Shape(round(params), round(trained), width, windows(config))


def numel(weight: Tensor) -> int:
    """Numbers that a tensor stands for: bitsandbytes packs two 4-bit ones in a byte."""
    state = getattr(weight, "quant_state", None)
    return state.shape.numel() if state is not None else weight.numel()


def active(config: object, name: str, weight: Tensor) -> float:
    """Share of a tensor's experts that a token is sent to; 1 for what is no expert."""
    counts = [getattr(config, key, None) for key in ("num_local_experts", "num_experts", "n_routed_experts")]
    total = next((count for count in counts if count), None)
    chosen = getattr(config, "num_experts_per_tok", None)
    return chosen / total if total and chosen and ".experts." in name and weight.dim() > 1 else 1.0


def windows(config: object) -> tuple[int, ...]:
    """Attention window of each layer, 0 = the whole row; a layer without attention is left out."""
    depth: int = config.num_hidden_layers  # type: ignore[attr-defined]
    window = getattr(config, "sliding_window", None) or 0
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return (window,) * depth
    return tuple(window if "sliding" in kind else 0 for kind in kinds if "attention" in kind and "linear" not in kind)
