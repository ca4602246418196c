"""Claim: one H200 trains a 1B Llama at 50 % MFU or more, at least 1.1 times as fast as transformers' `Trainer`.

The rest of the claim: 125M at 30 % or more; peak memory at or under theirs; packed rows (varlen) no slower than rows of
one document; FSDP with one process within 3 % of the plain run; FP8 at least 1.05 times as fast at 1B, 1.2 on blocks of
8B width. Every entry runs in a process of its own with a time limit, so that one failure loses no other; what did not
run says why. Rows are random tokens made on the spot; Hydra and a network are not needed.

The peer is given what makes it fastest; two of its settings hang on packages: flash_attention_2 on flash-attn (else sdpa,
which calls a flash kernel itself where no mask is given), its fused loss and norms on liger-kernel (else it holds whole
logits). The table says which were there: install both for a fair peer, `pip install flash-attn liger-kernel`.

    python benchmarks/train_gpu.py             # the table within 8 minutes, one JSON line last
    python benchmarks/train_gpu.py --floor     # what the hardware allows, worked out
    python benchmarks/train_gpu.py --tiny      # two small layers on a CPU: proves the script, measures nothing
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
import traceback
from functools import partial
from importlib.metadata import version
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import gpu_entries as entries  # noqa: E402
import gpu_peer  # noqa: E402
from gpu_floor import floor_page  # noqa: E402
from gpu_floor_claims import claims_page  # noqa: E402
from gpu_shapes import SHAPES, table  # noqa: E402

MINUTES = 8
FASTEST = {"compile": "blocks"}
# name -> (what runs, seconds it may take); the claims that weigh most first. Together under the 8 minutes: an entry that
# hangs takes no time of another.
ENTRIES = {
    "cptlab 1B": (partial(entries.ours, size="1b", **FASTEST), 65),
    "transformers 1B": (partial(gpu_peer.theirs, size="1b"), 65),
    "cptlab 125M": (partial(entries.ours, size="125m", **FASTEST), 40),
    "transformers 125M": (partial(gpu_peer.theirs, size="125m"), 40),
    "cptlab 1B fp8": (partial(entries.ours, size="1b", precision="fp8", **FASTEST), 50),
    "cptlab 1B fsdp": (partial(entries.fsdp, size="1b"), 50),
    "cptlab 1B packed": (partial(entries.ours, size="1b", documents=8, **FASTEST), 50),
    "blocks 8B wide": (entries.wide_blocks, 40),
    "cptlab 1B sdpa": (partial(entries.ours, size="1b", attention="sdpa", **FASTEST), 35),
    "cptlab 125M max_autotune": (partial(entries.ours, size="125m", compile="max_autotune"), 35),
}
# claim -> (entry, figure, entry it is divided by or None, bar, whether the bar is a floor)
BARS = {
    "MFU 1B": ("cptlab 1B", "mfu", None, 0.50, True),
    "speed over transformers, 1B": ("cptlab 1B", "tokens_per_second", "transformers 1B", 1.1, True),
    "MFU 125M": ("cptlab 125M", "mfu", None, 0.30, True),
    "speed over transformers, 125M": ("cptlab 125M", "tokens_per_second", "transformers 125M", 1.0, True),
    "peak memory over transformers, 1B": ("cptlab 1B", "peak_gb", "transformers 1B", 1.0, False),
    "peak memory over transformers, 125M": ("cptlab 125M", "peak_gb", "transformers 125M", 1.0, False),
    "packed over unpacked, 1B": ("cptlab 1B packed", "tokens_per_second", "cptlab 1B", 1.0, True),
    "FSDP with one process over plain, 1B": ("cptlab 1B fsdp", "tokens_per_second", "cptlab 1B", 0.97, True),
    "FP8 over bf16, 1B": ("cptlab 1B fp8", "tokens_per_second", "cptlab 1B", 1.05, True),
    "FP8 over bf16, blocks of 8B width": ("blocks 8B wide", "ratio", None, 1.2, True),
}


def child(work, tiny: bool, pipe) -> None:
    entries.quiet()
    os.setsid()  # the compiler's own processes end with this one
    try:
        pipe.send(work(tiny))
    except BaseException as error:  # noqa: BLE001 - the table says why
        traceback.print_exc()
        pipe.send({"reason": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"})
    pipe.close()


def run(work, tiny: bool, seconds: float) -> dict:
    """The figures of one entry, or the reason why there are none. Forked: imports are paid for once."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(work, tiny, its))
    started = time.monotonic()
    process.start()
    its.close()
    try:
        found = mine.recv() if mine.poll(seconds) else {"reason": f"not done after {seconds:.0f} s"}
    except EOFError:
        found = {"reason": "its process died"}
    process.join(5)
    if process.is_alive():
        os.killpg(process.pid, 9)
        process.join()
    return found | {"seconds": round(time.monotonic() - started, 1)}


def value(found: dict, name: str, figure: str) -> float | None:
    return found.get(name, {}).get(figure)


def verdicts(found: dict, tiny: bool = False) -> dict[str, dict]:
    """Each bar with its figure, None where an entry did not run; a tiny run is held against none."""
    result = {}
    for claim, (name, figure, other, bar, at_least) in BARS.items():
        number, base = value(found, name, figure), 1.0 if other is None else value(found, other, figure)
        got = None if number is None or not base else number / base
        holds = None if got is None or tiny else (got >= bar if at_least else got <= bar)
        result[claim] = {"figure": None if got is None else round(got, 3), "bar": bar, "holds": holds}
    return result


def report(found: dict, judged: dict) -> str:
    """Two tables in Markdown, for RESULTS.md."""

    def shown(one: dict, figure: str, text: str) -> str:
        return text.format(one[figure]) if one.get(figure) is not None else ""

    rows = [
        [name, shown(one, "tokens_per_second", "{:,.0f}"), shown(one, "mfu", "{:.1%}"), shown(one, "peak_gb", "{:.1f}"),
         shown(one, "rows_a_pass", "{}"), str(one.get("reason") or one.get("attention", "") or
         ", ".join(f"{k} {v:.2f}" for k, v in one.items() if k.endswith(("_ms", "ratio")))), f"{one.get('seconds', 0):.0f}"]
        for name, one in found.items()
    ]  # fmt: skip
    header = ["entry", "tokens/s", "MFU", "peak GB", "rows a pass", "attention, or why there is no figure", "s"]
    bars = [
        [claim, "not measured" if one["figure"] is None else f"{one['figure']}", f"{one['bar']}",
         {None: "", True: "yes", False: "no"}[one["holds"]]]
        for claim, one in judged.items()
    ]  # fmt: skip
    return table(header, rows) + "\n\n" + table(["claim", "figure", "bar", "holds"], bars)


def gpu() -> str:
    """Name without waking CUDA, which a fork would not survive."""
    import subprocess

    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True
        )
    except OSError:
        return ""
    return asked.stdout.strip().split("\n")[0] if asked.returncode == 0 else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--floor", action="store_true", help="the analytic floor and nothing else")
    parser.add_argument("--tiny", action="store_true", help="two small layers on a CPU")
    parser.add_argument("--only", nargs="*", default=list(ENTRIES), help="names of entries")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    options = parser.parse_args()
    if options.floor:
        print(f"{floor_page()}\n\n{claims_page()}")
        return
    if unknown := set(options.only) - set(ENTRIES):
        parser.error(f"no entry {sorted(unknown)[0]}; there are {', '.join(ENTRIES)}")
    started, name = time.monotonic(), gpu()
    if not options.tiny and not name:
        parser.error("there is no GPU here; --tiny proves the script, --floor prints what the hardware allows")
    import lightning  # noqa: F401
    import torch
    import transformers  # noqa: F401 - once, for all entries

    if options.tiny:
        torch.set_num_threads(1)
    found = {}
    for entry in options.only:
        work, seconds = ENTRIES[entry]
        left = 60 * options.minutes - 10 - (time.monotonic() - started)
        if left < 15:
            found[entry] = {"reason": f"the {options.minutes:g} minutes were over"}
            continue
        found[entry] = run(work, options.tiny, min(seconds, left))
        print(f"{entry}: {json.dumps(found[entry])}", file=sys.stderr, flush=True)
    judged = verdicts(found, options.tiny)
    if not options.tiny:
        print("\n".join(f"{shape}." for shape in SHAPES.values()))
        print("MFU: 6N + 12LdT, not halved for the causal mask, over 989 TFLOP/s dense bf16 (FP8 too).")
    print(f"{gpu_peer.peer_settings(options.tiny)}\n")
    print(report(found, judged), flush=True)
    failed = [claim for claim, one in judged.items() if one["holds"] is False]
    print(json.dumps({
        "claim": "training on one GPU" + (", tiny: only proves the script" if options.tiny else ""),
        "ours": value(found, "cptlab 1B", "tokens_per_second"), "theirs": value(found, "transformers 1B", "tokens_per_second"),
        "peer": "transformers Trainer", "unit": "tokens/s", "ratio": judged["speed over transformers, 1B"]["figure"],
        "bars": judged, "missed": failed, "entries": found,
        "peer_settings": gpu_peer.peer_settings(options.tiny),
        "missing": {entry: one["reason"] for entry, one in found.items() if "reason" in one},
        "minutes": round((time.monotonic() - started) / 60, 2), "machine": name or f"{platform.machine()}, no GPU",
        "versions": {each: version(each) for each in ("torch", "lightning", "transformers")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
