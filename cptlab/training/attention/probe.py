"""What is installed and runs: packages of flash attention, and their kernels on this GPU."""

from __future__ import annotations

import functools
from importlib.util import find_spec

# backend -> (module that shows it, what is missing, how to get it)
PACKAGES = {
    "flash_attention_2": ("flash_attn_2_cuda", "flash-attn", "pip install flash-attn --no-build-isolation"),
    "flash_attention_3": ("flash_attn_interface", "flash-attn 3", "build the hopper folder of its sources"),
    "flash_attention_4": ("flash_attn.cute", "flash-attn-4", "pip install --pre flash-attn-4"),
    "varlen": ("torch.nn.attention.varlen", "torch's varlen_attn", "install torch 2.11 or later"),
    "flex": ("triton", "triton", "install a CUDA build of torch"),
}  # fmt: skip


def missing_package(name: str) -> str:
    """The package that a backend lacks and how to install it; "" if it is there or needs none.

    Modules are looked for by name: a package that is absent must not be fetched from a hub behind our back.
    """
    if name not in PACKAGES:
        return ""
    module, package, how = PACKAGES[name]
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there
        found = False
    except (ImportError, OSError) as error:  # its parent is there, built for another torch or CUDA
        return f"{package} is installed but cannot be imported ({' '.join(str(error).split())[:120]}): {how}"
    return "" if found else f"{package} is not installed ({how})"


@functools.cache
def kernel_fails(name: str) -> str:
    """Why a flash kernel that is installed does not run on this GPU, tried on two documents; "" if it runs."""
    from cptlab.training.attention.flash import VERSIONS, flash_kernel
    from cptlab.training.attention.varlen import varlen_kernel

    if name != "varlen" and name not in VERSIONS:
        return ""
    import torch

    if not torch.cuda.is_available():
        return "torch sees no GPU"
    try:
        kernel = varlen_kernel() if name == "varlen" else flash_kernel(name)
        query, key, value = (
            torch.ones(8, heads, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True) for heads in (4, 2, 2)
        )
        starts = torch.tensor([0, 3, 8], dtype=torch.int32, device="cuda")
        kernel(query, key, value, starts, 8, 0.125, True, None, 0.0).sum().backward()
        torch.cuda.synchronize()
    except (RuntimeError, ImportError, OSError, TypeError, ValueError, AttributeError, AssertionError) as error:
        return f"its kernel fails on this GPU ({' '.join(str(error).split())[:120]})"
    return ""
