"""The analytic floor of a training step on one H200: FLOPs and bytes of each part, worked out, not measured.

Each part takes at least max(FLOPs / peak, bytes / bandwidth). `likely` divides by efficiencies that such kernels reach
on this GPU in published benchmarks; they are assumptions. Bytes are those of compiled blocks with a bf16 residual stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpu_shapes import BANDWIDTH, PEAK_FLOPS, SHAPES, Llama, table

LIKELY = {"matrices": 0.70, "attention": 0.35, "memory": 0.80}  # of the peak; attention: flash 2, heads of width 64
CHUNK = 1 << 29  # logits of one chunk, as cptlab/training/linear_loss.py has it


@dataclass(frozen=True)
class Part:
    name: str
    flops: float
    bytes: float
    kind: str  # of LIKELY

    @property
    def floor(self) -> float:
        """[s]"""
        return max(self.flops / PEAK_FLOPS, self.bytes / BANDWIDTH)

    @property
    def likely(self) -> float:
        """[s]"""
        return max(self.flops / PEAK_FLOPS / LIKELY[self.kind], self.bytes / BANDWIDTH / LIKELY["memory"])


def parts(shape: Llama, fused: bool = True) -> list[Part]:
    """Of one optimizer step. fused: as the code is; else with the loss uncompiled and the residual stream in fp32."""
    tokens, passes = shape.rows * shape.length, shape.rows // shape.passes[0]
    d, k, f, depth = shape.width, shape.keys, shape.feed_forward, shape.depth
    number = shape.matrices + shape.head
    chunks = max(passes, -(-tokens * shape.vocab // CHUNK))
    # Bytes of a token and layer. Forward: two norms (the second with its sum), rotary, SwiGLU, the last sum;
    # backward: the same read and written again, sums of the gradients of q, k, v and gate, up.
    stream = 20 * d + 22 * d
    elementwise = (stream if fused else 2 * stream) + 8 * (d + k) + 18 * f
    # Bytes of a logit: written by its product, read for log Z, read and written as gradient; without a compiler
    # to fp32 (6), log Z (8), minus, exp, times (24), back to bf16 (6), and the first write (2).
    logit = 8 if fused else 46
    return [
        Part("matrix products of the blocks", 6 * shape.matrices * tokens, 0, "matrices"),
        Part("attention (forward 2, backward 5 products, causal half)", 7 * depth * d * shape.length * tokens, 0, "attention"),
        Part("matrix products of the head", 6 * shape.head * tokens, 0, "matrices"),
        Part("passes over the logits", 0, logit * tokens * shape.vocab, "memory"),
        Part("sums of the head's gradient over chunks", 0, 12 * shape.head * chunks, "memory"),
        Part("norms, rotary, SwiGLU, residual sums", 0, elementwise * depth * tokens, "memory"),
        Part("casts of weights and gradients (autocast)", 0, number * (6 * passes + 6 + 18 * (passes - 1)), "memory"),
        Part("AdamW, fused (28 B a parameter)", 0, 28 * number, "memory"),
        Part("clipping (norm 4, scaling 8 B a parameter)", 0, 12 * number, "memory"),
    ]  # fmt: skip


def mfu(shape: Llama, found: list[Part], likely: bool) -> float:
    """Of a step that takes the sum of its parts."""
    seconds = sum(part.likely if likely else part.floor for part in found)
    return shape.flops_per_token * shape.rows * shape.length / seconds / PEAK_FLOPS


def floor_table(shape: Llama) -> str:
    """Markdown, ms of a step."""
    now, before = parts(shape), parts(shape, fused=False)
    rows = [
        [one.name, f"{one.flops / 1e12:.1f}", f"{one.bytes / 1e9:.1f}", f"{1e3 * one.floor:.1f}", f"{1e3 * one.likely:.1f}",
         f"{1e3 * old.likely:.1f}"]
        for one, old in zip(now, before, strict=True)
    ]  # fmt: skip
    rows.append(["**sum**", *(f"{sum(v):.1f}" for v in (
        [p.flops / 1e12 for p in now], [p.bytes / 1e9 for p in now], [1e3 * p.floor for p in now],
        [1e3 * p.likely for p in now], [1e3 * p.likely for p in before]))])  # fmt: skip
    rows.append(["**MFU** (6N + 12LdT, peak 989 TFLOP/s)", "", "", f"{mfu(shape, now, False):.1%}",
                 f"{mfu(shape, now, True):.1%}", f"{mfu(shape, before, True):.1%}"])  # fmt: skip
    header = ["part of a step", "TFLOP", "GB", "floor [ms]", "likely [ms]", "likely before [ms]"]
    return f"{shape}, {shape.passes[0]} a pass.\n\n{table(header, rows)}"


def floor_page() -> str:
    """Both models."""
    assumed = ", ".join(f"{name} {share:.0%}" for name, share in LIKELY.items())
    return (
        "Worked out for one H200 (989 TFLOP/s dense bf16, 4.8 TB/s), **not measured**. Floor: each part at the peak."
        f" Likely: at assumed shares of the peak ({assumed}). Before: without the compiled loss and with the residual"
        " stream in fp32.\n\n" + "\n\n".join(floor_table(shape) for shape in SHAPES.values())
    )
