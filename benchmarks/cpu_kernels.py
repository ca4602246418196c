"""Claim: on a CPU, linear layers by oneDNN and our RMS norm are faster than torch's and transformers' own, in fp32.

For widths of proxy models: seconds of X W^T, G W (both layers' products that we make otherwise) and of a norm forward and
back, interleaved; the ratio is theirs over ours, so above 1 ours is faster. Below 128 cptlab takes torch's.

    python benchmarks/cpu_kernels.py --threads 2
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from cptlab.training.cpu.linear import product
from cptlab.training.cpu.rms_norm import use_cpu_norms

MATRICES = [(32, 64), (64, 64), (96, 224), (128, 128), (160, 448), (384, 384), (384, 1024), (1024, 384)]
WIDTHS = [32, 96, 128, 160, 384]


def ratio(theirs: Callable, ours: Callable, repeats: int) -> tuple[float, float, float]:
    """(5 %, median, 95 %) of paired ratios of seconds."""
    pairs = []
    for turn in range(repeats + 3):
        seconds = {}
        for call in (theirs, ours) if turn % 2 else (ours, theirs):
            start = time.perf_counter()
            call()
            seconds[call] = time.perf_counter() - start
        pairs.append(seconds[theirs] / seconds[ours])
    low, middle, high = np.quantile(pairs[3:], (0.05, 0.5, 0.95))
    return round(float(low), 2), round(float(middle), 2), round(float(high), 2)


def forward_and_back(layer: nn.Module, x: Tensor, grad: Tensor) -> Callable:
    def call() -> None:
        x.grad = None
        layer(x).backward(grad)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    for inside, outside in MATRICES:
        x, w = torch.randn(options.tokens, inside), torch.randn(outside, inside)
        g = torch.randn(options.tokens, outside)
        found[f"X W^T {inside} to {outside}"] = ratio(
            partial(torch.mm, x, w.T), partial(product, x, w), options.repeats
        )
        found[f"G W {inside} to {outside}"] = ratio(partial(torch.mm, g, w), partial(product, g, w.T), options.repeats)
    for width in WIDTHS:
        theirs = LlamaRMSNorm(width)
        ours = copy.deepcopy(theirs)
        use_cpu_norms(nn.Sequential(ours))
        x, g = (
            torch.randn(8, options.tokens // 8, width, requires_grad=True),
            torch.randn(8, options.tokens // 8, width),
        )
        found[f"norm {width}"] = ratio(forward_and_back(theirs, x, g), forward_and_back(ours, x, g), options.repeats)
    print(json.dumps({
        "claim": f"seconds of torch's and transformers' over ours (5 %, median, 95 %), {options.tokens} tokens",
        "ratios": found, "threads": options.threads, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
