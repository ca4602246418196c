"""Claim: every attention backend trains the same model: 200 steps from the same weights lose the same within 1e-4 in
fp32, within 5e-3 (mean of the last 20) in bf16; and packed rows cost no more than whole ones where blocks are skipped.

One Llama, the same weights, rows and steps for every backend. A backend that cannot run here is named with its reason.
Columns: largest difference of logits from eager and of the gradient over its norm (packed rows); largest change of
document B's logits when document A is edited; steps: difference of losses from eager's; ms a step (median, forward and
backward) on packed rows and on rows of one document; peak memory of the packed steps (GPU only).
"""

import argparse
import json
import statistics
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from cptlab.errors import UserError
from cptlab.training.attention import choose, document_inputs, install
from cptlab.training.attention.choice import BACKENDS

TINY = {"width": 64, "depth": 2, "heads": 4, "groups": 2, "vocab": 256, "length": 256, "rows": 4}
LARGE = {"width": 768, "depth": 12, "heads": 12, "groups": 4, "vocab": 32000, "length": 4096, "rows": 4}
BOUNDS = {"fp32": 1e-4, "bf16": 5e-3}


def build(size, device):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size["vocab"], hidden_size=size["width"], intermediate_size=4 * size["width"],
        num_hidden_layers=size["depth"], num_attention_heads=size["heads"], num_key_value_heads=size["groups"],
        max_position_embeddings=size["length"],
    )  # fmt: skip
    return LlamaForCausalLM(config).to(device)


def rows_of(size, step, packed):
    """Tokens (a noisy walk, so that there is something to learn) and positions, on the CPU."""
    draw = torch.Generator().manual_seed(step)
    shape = (size["rows"], size["length"])
    jumps = torch.randint(1, 4, shape, generator=draw)
    ids = (jumps.cumsum(-1) + torch.randint(size["vocab"], (shape[0], 1), generator=draw)) % size["vocab"]
    starts = torch.rand(shape, generator=draw) < (8 / size["length"] if packed else 0)
    starts[:, 0] = True
    index = torch.arange(size["length"])
    return ids, index - torch.where(starts, index, 0).cummax(-1).values


def forward(model, ids, positions, choice, half, device):
    documents = document_inputs(positions, choice, device=device)
    with torch.autocast(device, torch.bfloat16, enabled=half):
        return model(input_ids=ids.to(device), use_cache=False, **documents).logits.float()


def loss_of(logits, ids):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten().to(logits.device))


def parity(size, choice, half, device):
    """(logits, flat gradient, largest change of B's logits when A is edited)."""
    model = build(size, device)
    install(model, choice, size["length"])
    ids, positions = rows_of(size, 0, packed=True)
    logits = forward(model, ids, positions, choice, half, device)
    loss_of(logits, ids).backward()
    gradient = torch.cat([p.grad.flatten().cpu() for p in model.parameters()])
    first = (positions == 0).cumsum(-1) == 1
    other = torch.where(first, (ids + 1) % size["vocab"], ids)
    with torch.no_grad():
        before, after = (forward(model, each, positions, choice, half, device) for each in (ids, other))
    return logits.detach().cpu(), gradient, (before - after).abs().amax(-1).cpu()[~first].max().item()


def train(size, choice, half, device, steps, packed=True):
    """(losses, median seconds a step, peak bytes)."""
    model = build(size, device).train()
    install(model, choice, size["length"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses, seconds = [], []
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for step in range(steps):
        ids, positions = rows_of(size, step, packed)
        started = time.perf_counter()
        loss = loss_of(forward(model, ids, positions, choice, half, device), ids)
        loss.backward()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
        optimizer.step()
        optimizer.zero_grad()
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
    return losses, statistics.median(seconds[min(5, steps - 1) :]), peak


def row_of(name, size, half, device, steps, reference):
    """One line of the table; "reason" where the backend cannot run."""
    try:
        choice = choose(name, device, "bf16" if half else "fp32", "llama")
    except UserError as error:
        return {"backend": name, "reason": " ".join(str(error).split())}
    try:
        logits, gradient, leak = parity(size, choice, half, device)
        losses, packed, peak = train(size, choice, half, device, steps)
        whole = train(size, choice, half, device, min(steps, 30), packed=False)[1]
    except torch.OutOfMemoryError:
        return {"backend": name, "reason": "out of memory"}
    found = {"backend": name, "leak": leak, "packed_ms": 1e3 * packed, "whole_ms": 1e3 * whole, "peak_gb": peak / 1e9}
    reference.setdefault("eager", (logits, gradient, losses))
    expected, slope, path = reference["eager"]
    found["logits"] = (logits - expected).abs().max().item()
    found["gradient"] = ((gradient - slope).norm() / slope.norm()).item()
    last = min(20, steps)
    found["steps"] = abs(sum(losses[-last:]) - sum(path[-last:])) / last if half else max(
        abs(a - b) for a, b in zip(losses, path, strict=True))  # fmt: skip
    found["first_loss"], found["last_loss"] = losses[0], losses[-1]
    return found


def table(found, half):
    bound = BOUNDS["bf16" if half else "fp32"]
    print("\n| backend | logits | gradient | leak | steps | packed, ms | whole, ms | peak, GB | losses |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in found:
        if "reason" in row:
            print(f"| {row['backend']} | not yet measured: {row['reason']} ||||||||")
            continue
        verdict = "" if row["steps"] <= bound else f" (above {bound})"
        parts = [row["backend"], *(f"{row[key]:.1e}" for key in ("logits", "gradient", "leak", "steps"))]
        parts[-1] += verdict
        parts += [
            f"{row['packed_ms']:.1f}",
            f"{row['whole_ms']:.1f}",
            f"{row['peak_gb']:.2f}" if row["peak_gb"] else "-",
        ]
        print("|", " | ".join([*parts, f"{row['first_loss']:.3f} to {row['last_loss']:.3f}"]), "|")


def main():
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if gpu else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--large", action="store_true", help="125M, 4 rows of 4096 instead of a tiny model")
    parser.add_argument("--json", help="also write the rows here")
    options = parser.parse_args()
    size, found = LARGE if options.large else TINY, {}
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} thread(s)"
    for half in (False, True) if options.device == "cuda" else (False,):
        precision = "bf16" if half else "fp32"
        print(f"\n{name}, torch {torch.__version__}, {precision}, {size}, {options.steps} steps")
        print(f"machine.attention=auto takes {choose('auto', options.device, precision, 'llama')}")
        reference = {}
        order = ("eager", *(each for each in BACKENDS if each != "eager"))
        found[precision] = [row_of(each, size, half, options.device, options.steps, reference) for each in order]
        table(found[precision], half)
    if options.device == "cpu":
        print("\nbf16 not run: on a CPU autocast is slower than fp32, and no backend needs it there")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
