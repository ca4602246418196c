"""A linear layer with a frozen weight in NF4 that computes the same on every device and in training as after it."""

from __future__ import annotations

import copy
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import Tensor, nn

BLOCK = 64  # weights that share a scale


class NF4Linear(Linear4bit):
    """bitsandbytes' Linear4bit without two traps of its CPU kernels (0.50.2).

    Blocks run over the flat weight, but dequantising on a CPU starts anew in each row: a width off 64 comes back
    scaled wrongly. And some CPUs repack the codes at the first evaluation for a bf16 kernel.
    """

    @classmethod
    def of(cls, linear: nn.Linear, double_quant: bool) -> NF4Linear:
        """The codes of `linear` on its device, its bias as it is; computes in the dtype of its input."""
        layer = cls(
            linear.in_features, linear.out_features, bias=linear.bias is not None, quant_type="nf4",
            compress_statistics=double_quant, device="meta",
        )  # fmt: skip
        codes: Any = Params4bit
        layer.weight = codes(
            linear.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=double_quant, blocksize=BLOCK
        ).to(linear.weight.device)  # moving is what quantises
        layer.bias = linear.bias
        layer.support_avx512bf16_for_cpu = False
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if x.device.type == "cpu" and self.in_features % BLOCK:
            return nn.functional.linear(x, self.dequantized().to(x.dtype), self.bias)
        return super().forward(x)

    def dequantized(self) -> Tensor:
        """The weight that the codes stand for, (out, in)."""
        flat: Any = copy.copy(self.weight.quant_state)  # type: ignore[attr-defined]
        shape, flat.shape = flat.shape, torch.Size((1, flat.shape.numel()))
        return dequantize_4bit(self.weight.data, flat).reshape(shape)
