"""Peak FLOP/s of a device, the denominator of MFU: dense (without sparsity), from the makers' data sheets.

FP8 runs are held against the bf16 peak, so that their MFU compares with that of bf16 runs. What is not in the table,
CPUs among it, is measured by a matrix product on the spot.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

# A part of the device's name -> dense peak [TFLOP/s]; the first that fits holds.
BF16 = {
    "GB200": 2500, "B200": 2250, "H200 NVL": 835, "H200": 989, "H100 NVL": 835, "H100 PCIe": 756, "H100": 989,
    "H800": 989, "GH200": 989, "A100": 312, "A800": 312, "L40S": 362, "L4": 121, "A10G": 70, "A10": 125,
    "RTX 4090": 165, "RTX 3090": 71, "MI300X": 1307,
}  # fmt: skip
FP32 = {
    "GB200": 80, "B200": 75, "H200 NVL": 60, "H200": 67, "H100 NVL": 60, "H100 PCIe": 51, "H100": 67, "H800": 67,
    "GH200": 67, "A100": 19.5, "A800": 19.5, "L40S": 91.6, "A10": 31.2, "RTX 4090": 82.6, "RTX 3090": 35.6,
    "MI300X": 163.4,
}  # fmt: skip
SIZE, REPETITIONS = 1024, 6  # of the matrix product that measures


@dataclass(frozen=True)
class Peak:
    """flops: [FLOP/s] of one device; source: where that number is from."""

    flops: float
    source: str

    def __str__(self) -> str:
        digits = 0 if self.flops >= 1e14 else 3
        return f"{self.flops / 1e12:.{digits}f} TFLOP/s ({self.source})"


def peak(device_type: str, precision: str, override: float = 0.0, name: str = "") -> Peak:
    """The peak of this process's device.

    device_type: cpu or cuda; precision: fp32, bf16 or fp8; override: `machine.peak_tflops`, 0 = none;
    name: of the device ("" asks torch).
    """
    kind = "fp32" if precision == "fp32" else "bf16"
    if override:
        return Peak(override * 1e12, "machine.peak_tflops")
    if device_type != "cpu":
        if not name:
            import torch

            name = torch.cuda.get_device_name()
        if found := listed(name, kind):
            return Peak(found * 1e12, f"{name}, dense {kind}")
    return Peak(measured(device_type, kind), f"{device_type} matrix product {SIZE}, {kind}, measured")


def listed(name: str, kind: str) -> float | None:
    """[TFLOP/s] of a device's name (`NVIDIA H200`), None if it is not in the table."""
    table = BF16 if kind == "bf16" else FP32
    return next((value for part, value in table.items() if set(part.split()) <= set(words(name))), None)


def words(name: str) -> list[str]:
    """Words of a device's name: `NVIDIA A100-SXM4-80GB` has A100 among them, `NVIDIA A10` does not."""
    return name.replace("-", " ").split()


def measured(device_type: str, kind: str) -> float:
    """[FLOP/s] of the best of some square matrix products, once a process and number of threads."""
    import torch

    return _measured(device_type, kind, torch.get_num_threads() if device_type == "cpu" else 0)


@cache
def _measured(device_type: str, kind: str, threads: int) -> float:
    import torch

    size = SIZE if device_type == "cpu" else 8 * SIZE
    dtype = torch.float32 if kind == "fp32" else torch.bfloat16
    generator = torch.Generator(device_type).manual_seed(0)  # the run's own random numbers stay as they are
    one, other = (torch.rand(size, size, generator=generator, device=device_type).to(dtype) for _ in range(2))

    def seconds() -> float:
        start = time.perf_counter()
        product = one @ other
        product[0, 0].item()  # waits for the device
        return time.perf_counter() - start

    seconds()
    return 2 * size**3 / min(seconds() for _ in range(REPETITIONS))
