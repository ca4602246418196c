"""Claim: a 5-corpus mixture becomes packed batches with document positions 3 times faster than in the best loader.

T + 1 = 2049, B = 8, one process, one thread, the same text for all; repetitions interleaved, medians. Peers deliver
rows; their rows become input ids, labels and positions by the same `pack` that cptlab uses, and are also timed bare
("rows_only"). The ceiling is a plain gather of rows from the memory-mapped file, by one fancy index as in PEERS.md
and, stricter, by one slice a row into int64.
`--memory` measures first batch and anonymous memory on files of random tokens from 10 MB up to 10 GB.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from cptlab.data.packing import pack
from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.mixtures.static import Static
from cptlab.replay.none import NoReplay

T, B, VOCAB = 2048, 8, 4096
WEIGHTS = (0.35, 0.25, 0.2, 0.12, 0.08)
TARGETS = {"over_best_peer": 3.0, "of_the_gather": 0.4, "first_batch_s": 0.2}


def stream_of(corpora, steps, vocab=VOCAB):
    shares = dict(zip(corpora, WEIGHTS, strict=True))
    return TokenStream.plan(
        corpora, Static(shares=shares), NoReplay(), general=next(iter(corpora)), steps=steps, rows_per_step=B,
        sequence_length=T, eos_id=0, seed=0, vocab_size=vocab,
    )  # fmt: skip


def ours(corpora, steps=100_000):
    stream = stream_of(corpora, steps)
    for step in range(steps):
        yield stream.batch(step).input_ids


def gather(corpora, sliced):
    """Random rows and nothing else, the ceiling: one fancy index of uint16, or one slice a row into int64."""
    maps = [c.tokens().view(np.ndarray) for c in corpora.values()]
    rng = np.random.default_rng(0)
    which = rng.choice(len(maps), (4096, B), p=WEIGHTS)
    rows = (rng.random((4096, B)) * np.array([(len(m) - 1) // T for m in maps])[which]).astype(int)
    largest = max(maps, key=len)
    some = (rng.random((4096, B, 1)) * ((len(largest) - 1) // T)).astype(int) * T
    columns = np.arange(T + 1)
    while True:
        for source, row, start in zip(which.tolist(), rows.tolist(), some, strict=True):
            if not sliced:
                yield largest[start + columns]
                continue
            out = np.empty((B, T + 1), dtype=np.int64)
            for into, i, r in zip(out, source, row, strict=True):
                into[:] = maps[i][r * T : r * T + T + 1]
            yield out


def corpora_from(cache: Path):
    """The five corpora of benchmark text: tokenised by `prepare` from $CPTLAB_CORPORA, EOS moved to id 0."""
    from cptlab.data.corpus import prepare
    from cptlab.data.sources.files import Files

    folder = Path(os.environ.get("CPTLAB_CORPORA", "../shared/corpora"))
    names = ("general", "law_en", "code_python", "medical", "math")
    files = {name: str(folder / f"{name}.train.jsonl.gz") for name in names}
    made = prepare(Files(corpora=files, general="general", vocab_size=VOCAB, sequence_length=T, cache_dir=str(cache)))
    corpora = {}
    for name in names:
        path = cache / f"{name}.eos0.bin"
        if not path.exists():
            tokens = np.array(made[name]["train"].tokens())
            swapped = np.where(tokens == made.eos_id, 0, np.where(tokens == 0, made.eos_id, tokens))
            swapped.astype("<u2").tofile(path)
        size = path.stat().st_size // 2
        corpora[name] = Corpus(name, name, "train", str(path), size, size, 1, "", "")
    return corpora


def compare(options) -> None:
    from loader_peers import PEERS

    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    cache = Path(options.cache)
    corpora = corpora_from(cache)
    tokens = {name: np.asarray(c.tokens()) for name, c in corpora.items()}
    began = clock()
    stream_of(corpora, 100_000).batch(0)
    first = clock() - began
    loaders, missing = {
        "cptlab": ours(corpora), "gather": gather(corpora, False), "gather_slices": gather(corpora, True),
    }, {}  # fmt: skip
    for name, peer in PEERS.items():
        try:
            loaders[name] = peer(tokens, WEIGHTS, cache)
            packed(next(loaders[name]))
        except (ImportError, OSError, RuntimeError, ValueError, TypeError, AssertionError) as error:
            missing[name] = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            loaders.pop(name, None)
    tasks = {
        (name, finish): loader for name, loader in loaders.items() for finish in (True, False) if name in PEERS or not finish
    }  # fmt: skip
    rates = {task: [] for task in tasks}
    for _ in range(options.repetitions):
        for (name, finish), loader in tasks.items():
            batches = options.batches // 4 if name in PEERS else options.batches
            began = clock()
            for _ in range(batches):
                batch = next(loader)
                if finish:
                    packed(batch)
            rates[name, finish].append(batches * B * T / (clock() - began) / 1e6)
    median = {task: round(float(np.median(r)), 1) for task, r in rates.items()}
    own = {name: rate for (name, _), rate in median.items() if name not in PEERS}
    peers = {name: rate for (name, finish), rate in median.items() if finish}
    bare = {name: rate for (name, finish), rate in median.items() if name in PEERS and not finish}
    best, best_bare = max(peers, key=peers.__getitem__, default=""), max(bare.values(), default=np.nan)
    print(json.dumps({
        "claim": "5-corpus mixture into packed batches with document positions, one process, T 2049, B 8",
        "ours": own["cptlab"], "theirs": peers.get(best), "peer": best, "unit": "M tokens/s",
        "ratio": round(own["cptlab"] / peers[best], 2) if best else None,
        "of_the_gather": round(own["cptlab"] / own["gather"], 2),
        "of_the_sliced_gather": round(own["cptlab"] / own["gather_slices"], 2),
        "clock": options.clock, "first_batch_s": round(first, 3), "all": own | peers, "rows_only": bare,
        "ratio_to_rows_only": round(own["cptlab"] / best_bare, 2), "missing": missing, "targets": TARGETS,
        "spread": {f"{n}{'' if f or n not in PEERS else ' rows'}": [round(min(r), 1), round(max(r), 1)] for (n, f), r in rates.items()},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "versions": {name: installed(name) for name in ("numpy", *PEERS)},
    }))  # fmt: skip


def packed(rows):
    """A peer's rows, (B, T + 1) integers, as cptlab's batch."""
    return pack(rows.numpy(), 0, np.zeros(B, dtype=np.int64), np.zeros(B, dtype=bool))


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def anonymous_memory() -> int:
    """RssAnon of this process [kB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def probe(path: str) -> None:
    """In a fresh process: first batch, then memory after 2,000 random batches."""
    size = os.path.getsize(path) // 10
    corpora = {f"c{i}": Corpus(f"c{i}", f"c{i}", "train", path, size * 5, 1, 1, "", "") for i in range(5)}
    began, began_cpu = time.perf_counter(), time.process_time()
    stream = stream_of(corpora, 100_000, vocab=2**16)
    stream.batch(0)
    first, first_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    for step in range(2000):
        stream.batch(step)
    print(
        json.dumps(
            {
                "first_batch_s": round(first, 4),
                "first_batch_cpu_s": round(first_cpu, 4),
                "rss_anon_mb": round(anonymous_memory() / 1024, 1),
            }
        )
    )


def memory(options) -> None:
    found = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        path, block = Path(folder) / "tokens.bin", np.random.default_rng(0).bytes(10_000_000)
        written = 0
        with open(path, "wb") as file:
            for size in options.megabytes:
                while written < size:
                    file.write(block)
                    written += 10
                file.flush()
                done = subprocess.run(
                    [sys.executable, __file__, "--probe", str(path)], capture_output=True, text=True, check=True
                )
                found[f"{size} MB"] = json.loads(done.stdout)
    anon = [entry["rss_anon_mb"] for entry in found.values()]
    print(json.dumps({
        "claim": "anonymous memory is flat and the first batch fast from 10 MB to 10 GB of tokens",
        "ours": anon[-1], "theirs": anon[0], "peer": "cptlab on the smallest file", "unit": "MB RssAnon",
        "ratio": round(anon[0] / anon[-1], 3), "first_batch_s": max(e["first_batch_s"] for e in found.values()),
        "by_size": found, "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread",
        "versions": {"numpy": version("numpy")},
    }))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", default="corpora/benchmark", help="folder of the tokenised text, in every format")
    parser.add_argument("--batches", type=int, default=4096)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: on a machine that others use")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    parser.add_argument("--scratch", default=None, help="folder with room for the largest file")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        probe(options.probe)
    elif options.memory:
        memory(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
