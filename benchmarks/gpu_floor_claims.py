"""The analytic floor of the other GPU claims: FP8, packed rows, FSDP with one process, peak memory. Not measured.

Time is a sum of parts as in `gpu_floor.py`; each claim takes parts away and adds others. FP8 is torchao's with one scale
a tensor: every operand of a product is read for its largest number (2 B), read and written as FP8 (3 B), anew in the
backward pass, where inputs and weights are kept in bf16.
"""

from __future__ import annotations

from dataclasses import replace

from gpu_floor import LIKELY, Part, parts
from gpu_shapes import BANDWIDTH, SHAPES, Llama, table

FP8_PEAK, FP8_SHARE = 1979e12, 0.60  # H200: dense FP8 [FLOP/s]; share of it that torchao's products reach, assumed
WIDE = Llama("two blocks of 8B width", 4096, 2, 32, 8, 14336, 0, 4096, 4, (4,))  # no head: forward and backward alone
DOCUMENTS = 8  # of a packed row of the entry `cptlab 1B packed`
BLOCKS, ATTENTION = "matrix products of the blocks", "attention (forward 2, backward 5 products, causal half)"
LOGITS, SUMS = "passes over the logits", "sums of the head's gradient over chunks"
FLASH_3 = 0.5  # share of the peak that flash 3 reaches with heads of width 64, assumed
GATHERS, SCATTER = 20 - 6, 14 - 6  # bytes a parameter and pass, less those of autocast's casts


def seconds(found: list[Part], likely: bool) -> float:
    return sum(part.likely if likely else part.floor for part in found)


def fp8_bytes(shape: Llama) -> float:
    """Of scaling and casting in a step: inputs and weights twice, gradients of outputs once, 5 B a time."""
    d, k, f = shape.width, shape.keys, shape.feed_forward
    inputs, outputs = 3 * d + f, 3 * d + 2 * k + 2 * f  # of a token and layer; q, k, v share an input, gate and up too
    passes = shape.rows // shape.passes[0]
    tokens = shape.rows * shape.length
    return (10 * inputs + 5 * outputs) * shape.depth * tokens + 10 * shape.matrices * passes


def fp8(shape: Llama, step: list[Part], likely: bool) -> float:
    """Seconds of the same step with the blocks' products in FP8."""
    products = next(part for part in step if part.name == BLOCKS)
    share, memory = (FP8_SHARE, LIKELY["memory"]) if likely else (1.0, 1.0)
    rest = seconds([part for part in step if part is not products], likely)
    return rest + products.flops / FP8_PEAK / share + fp8_bytes(shape) / BANDWIDTH / memory


def packed(step: list[Part], documents: int, likely: bool) -> float:
    """Seconds with rows cut at random: the expected sum of squared lengths is 2 / (documents + 1) of the row's square."""
    attention = seconds([part for part in step if part.name == ATTENTION], likely)
    return seconds(step, likely) - attention * (1 - 2 / (documents + 1))


def fsdp(shape: Llama, step: list[Part], likely: bool) -> float:
    """Seconds with one process, nothing overlapped: two gathers a pass (cast and copied out) and a scatter in fp32."""
    extra = (GATHERS + SCATTER) * (shape.matrices + shape.head) * (shape.rows // shape.passes[0])
    return seconds(step, likely) + extra / BANDWIDTH / (LIKELY["memory"] if likely else 1.0)


def peer(shape: Llama, likely: bool, liger: bool = False) -> float:
    """Seconds of transformers' Trainer, compiled: the same products, attention and optimizer.

    Its residual stream is fp32 under autocast. Whole logits cost 26 B each where ours cost 8: cast to fp32 (6), read for
    log Z (4), read and written as fp32 gradient (8), cast back (6), first written (2); the head's gradient is summed once
    a pass. With Liger its loss is taken to cost what ours does.
    """
    ours, wide = parts(shape), {part.name: part for part in parts(shape, fused=False)}
    passes = shape.rows // shape.passes[0]
    step = []
    for part in ours:
        if part.name.startswith("norms"):
            part = wide[part.name]
        elif part.name == LOGITS and not liger:
            part = replace(part, bytes=part.bytes * 26 / 8)
        elif part.name == SUMS and not liger:
            part = replace(part, bytes=12.0 * shape.head * passes)
        step.append(part)
    return seconds(step, likely)


def with_flash_3(step: list[Part], likely: bool) -> float:
    """Seconds with attention at FLASH_3 of the peak in place of flash 2's share; the floor is the same."""
    attention = seconds([part for part in step if part.name == ATTENTION], likely)
    return seconds(step, likely) - (attention * (1 - LIKELY["attention"] / FLASH_3) if likely else 0.0)


def wide_step() -> list[Part]:
    """Forward and backward of the blocks, nothing of an optimizer, head or loss."""
    return [part for part in parts(WIDE) if part.name in (BLOCKS, ATTENTION) or part.name.startswith("norms")]


def memory(shape: Llama) -> dict[str, float]:
    """{what: bytes} at the peak of a step, which lies at the end of the last block's forward pass.

    A block keeps for its backward pass, in bf16: input, its norm, q, k, v, the attention's output, the sum, its norm,
    gate, up and their product.
    """
    number, tokens = shape.matrices + shape.head, shape.passes[0] * shape.length
    kept = 2 * (6 * shape.width + 2 * shape.keys + 3 * shape.feed_forward)
    return {
        "weights, fp32": 4 * number,
        "gradients, fp32": 4 * number,
        "AdamW, two moments, fp32": 8 * number,
        "weights, bf16, kept by autocast in a pass": 2 * number,
        "activations of the blocks": kept * shape.depth * tokens,
        "logits of a chunk and their gradient": 2 * 2 * min(1 << 29, tokens * shape.vocab),
        "gradient of the head, fp32": 4 * shape.head,
    }


def whole_logits(shape: Llama) -> float:
    """Bytes that a trainer without a fused loss holds beyond: logits of a pass in bf16 and fp32, gradient in fp32."""
    return 10.0 * shape.passes[0] * shape.length * shape.vocab


def claims_page() -> str:
    """Two tables in Markdown."""
    one = SHAPES["1b"]
    step, wide = parts(one), wide_step()
    rows = []
    for claim, bar, plain, other in (
        ("FP8 over bf16, 1B", "1.05", step, lambda likely: fp8(one, step, likely)),
        ("FP8 over bf16, blocks of 8B width", "1.2", wide, lambda likely: fp8(WIDE, wide, likely)),
        (f"packed ({DOCUMENTS} documents a row) over unpacked, 1B", "1.0", step, lambda likely: packed(step, DOCUMENTS, likely)),
        ("FSDP with one process over plain, 1B", ".97", step, lambda likely: fsdp(one, step, likely)),
    ):  # fmt: skip
        figures = [(seconds(plain, likely), other(likely)) for likely in (False, True)]
        rows.append([claim, *(f"{1e3 * a:.1f} → {1e3 * b:.1f}" for a, b in figures),
                     *(f"{a / b:.2f}" for a, b in figures), bar])  # fmt: skip
    small = SHAPES["125m"]
    for claim, theirs, own in (
        ("over Trainer, 1B, both on flash 2", lambda x: peer(one, x), lambda x: seconds(step, x)),
        ("over Trainer with Liger, 1B, both on flash 2", lambda x: peer(one, x, True), lambda x: seconds(step, x)),
        ("over Trainer on flash 2, 1B, ours on flash 3", lambda x: peer(one, x), lambda x: with_flash_3(step, x)),
        (
            "over Trainer, 125M (no bar of its own), both on flash 2",
            lambda x: peer(small, x),
            lambda x: seconds(parts(small), x),
        ),
    ):
        figures = [(theirs(likely), own(likely)) for likely in (False, True)]
        rows.append([claim, *(f"{1e3 * a:.1f} → {1e3 * b:.1f}" for a, b in figures),
                     *(f"{a / b:.2f}" for a, b in figures), "" if "no bar" in claim else "1.1"])  # fmt: skip
    header = ["claim", "floor [ms]", "likely [ms]", "ratio, floor", "ratio, likely", "bar"]
    sizes = [memory(shape) for shape in SHAPES.values()]
    held = [[name, *(f"{size[name] / 1e9:.1f}" for size in sizes)] for name in sizes[0]]
    held.append(["**sum**", *(f"{sum(size.values()) / 1e9:.1f}" for size in sizes)])
    held.append(
        ["beyond it, a trainer that holds whole logits", *(f"{whole_logits(s) / 1e9:.1f}" for s in SHAPES.values())]
    )
    names = [f"{shape.name}, {shape.passes[0]} rows a pass [GB]" for shape in SHAPES.values()]
    return f"{table(header, rows)}\n\n{table(['peak memory', *names], held)}"
