"""Claim: `cptlab corpus build` tokenises the same text at least 1.5 times as fast as `datasets.map`, same processes.

Both read one JSON-lines file, use the same tokenizer and the same number of processes, and end with token ids on
the disk (ours split, hashed and with a manifest; theirs an Arrow cache of input_ids). Repetitions are interleaved;
the best of each counts, for the machine is shared, and the processor seconds stand beside. Reading the raw file into the peer's own format is not timed.
`--memory GB` builds a text file of that size instead and reports the highest resident memory of all processes.
"""

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

CORPORA = Path(os.environ.get("CPTLAB_CORPORA", Path(__file__).parents[2] / "shared" / "corpora"))
THEIRS = """
import sys, time, datasets
from transformers import AutoTokenizer
if __name__ == "__main__":
    datasets.disable_progress_bars()
    path, tokenizer, cache, workers = sys.argv[1:]
    raw = datasets.load_dataset("json", data_files=path, split="train", cache_dir=cache)
    tok = AutoTokenizer.from_pretrained(tokenizer)
    def encode(batch):
        return {"input_ids": [i + [tok.eos_token_id] for i in tok(batch["text"], return_attention_mask=False)["input_ids"]]}
    import os
    used = sum(os.times()[:4])
    started = time.perf_counter()
    out = raw.map(encode, batched=True, num_proc=int(workers), remove_columns=raw.column_names, load_from_cache_file=False)
    seconds = time.perf_counter() - started
    print(seconds, sum(os.times()[:4]) - used, sum(map(len, out.with_format("numpy")["input_ids"])))
"""


def write_text(path: Path, megabytes: float) -> int:
    """JSON lines of every corpus in turn, repeated with a number in front until there is enough; returns bytes of text."""
    size = turn = 0
    with open(path, "w") as file:
        while size < megabytes * 1e6:
            for source in sorted(CORPORA.glob("*.train.jsonl.gz")):
                with gzip.open(source, "rt") as lines:
                    for line in lines:
                        text = json.loads(line)["text"] if not turn else f"{turn} {json.loads(line)['text']}"
                        file.write(json.dumps({"text": text}) + "\n")
                        size += len(text.encode())
                        if size >= megabytes * 1e6:
                            return size
            turn += 1
    return size


def environment(workers: int) -> dict[str, str]:
    return os.environ | {
        "RAYON_NUM_THREADS": "1" if workers > 1 else "",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }


def ours(text: Path, tokenizer: Path, folder: Path, workers: int) -> tuple[float, float, int]:
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "cptlab", "corpus", "build", "--workers", str(workers), "data=files",
               f"data.corpora.all={text}", f"data.tokenizer={tokenizer}", f"data.cache_dir={folder}", "model.base_run="]  # fmt: skip
    started, used = time.perf_counter(), sum(os.times()[2:4])
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, used = time.perf_counter() - started, sum(os.times()[2:4]) - used
    (manifest,) = folder.glob("*/manifest.json")
    return (
        seconds,
        used,
        sum(split["num_tokens"] for split in json.loads(manifest.read_text())["corpora"]["all"].values()),
    )


def theirs(text: Path, tokenizer: Path, folder: Path, workers: int) -> tuple[float, float, int]:
    script = folder.with_suffix(".py")
    script.write_text(THEIRS)
    command = [sys.executable, str(script), str(text), str(tokenizer), str(folder), str(workers)]
    done = subprocess.run(
        command, check=True, env=environment(workers), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    seconds, used, tokens = done.stdout.split()[-3:]
    return float(seconds), float(used), int(tokens)


def peak_memory(command: list[str]) -> tuple[float, float, float]:
    """[MB] highest anonymous resident memory of all processes together and of the largest, and seconds."""
    import psutil

    peak = [0, 0]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def watch() -> None:
        while process.poll() is None:
            sizes = []
            try:
                for one in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
                    lines = Path(f"/proc/{one.pid}/status").read_text().splitlines()
                    sizes += [int(line.split()[1]) for line in lines if line.startswith("RssAnon")]
            except (psutil.NoSuchProcess, FileNotFoundError):
                pass
            peak[:] = max(peak[0], sum(sizes)), max(peak[1], *sizes, 0)
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    watcher.join()
    if process.returncode:
        raise SystemExit(process.returncode)
    return peak[0] / 1e3, peak[1] / 1e3, time.perf_counter() - started


def memory(gigabytes: float, kind: str, tokenizer: Path, folder: Path, workers: int) -> dict:
    documents = folder / "documents"  # beside one large document there are others, for the splits
    documents.mkdir()
    text = documents / f"big.{'txt' if kind != 'jsonl' else 'jsonl'}"
    if kind == "jsonl":
        size = write_text(text, gigabytes * 1e3)
    else:
        lines = (documents if kind == "one" else folder) / "lines.jsonl"
        write_text(lines, 20)
        texts = (json.loads(line)["text"] for line in lines.read_text().splitlines())
        once = "\n\n".join(text.replace("\n\n", "\n") for text in texts).encode()
        with open(text, "wb") as file:
            for turn in range(int(gigabytes * 1e9 / len(once)) + 1):
                file.write(f"{turn}\n\n".encode() + once + b"\n\n")
        size = text.stat().st_size
    command = [sys.executable, "-m", "cptlab", "corpus", "build", "--workers", str(workers), "data=files",
               f"data.corpora.all={documents}", f"data.tokenizer={tokenizer}", f"data.cache_dir={folder / 'cache'}", "model.base_run="]  # fmt: skip
    if kind == "parts":
        command.append('data.separator="\\n\\n"')
    together, largest, seconds = peak_memory(command)
    (manifest,) = (folder / "cache").glob("*/manifest.json")
    splits = json.loads(manifest.read_text())["corpora"]["all"].values()
    count = sum(split["num_documents"] for split in splits)
    tokens = sum(split["num_tokens"] for split in splits)
    assert kind == "one" or count > size / 1e5, f"{count} documents of {size / 1e6:.0f} MB: the text was not cut"
    return {"claim": "bounded memory of a build", "kind": kind, "text_mb": round(size / 1e6), "documents": count, "tokens": tokens, "unit": "MB, RssAnon",
            "all_processes": round(together), "largest": round(largest), "seconds": round(seconds)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--vocab", type=int, default=32_000)
    parser.add_argument("--memory", type=float, default=0, help="[GB] measure memory on a file of this size instead")
    parser.add_argument(
        "--kind",
        choices=["jsonl", "parts", "one"],
        default="jsonl",
        help="of that file: JSON lines, text cut at blank lines, one document",
    )
    options = parser.parse_args()
    from cptlab.data.tokenizer import train_bpe

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, tokenizer = folder / "text.jsonl", folder / "tokenizer"
        size = write_text(text, options.megabytes if not options.memory else 20)
        with open(text) as lines:
            train_bpe(
                [json.loads(line)["text"] for number, line in enumerate(lines) if number % 8 == 0],
                options.vocab,
                tokenizer,
            )
        machine = {"machine": f"{platform.machine()}, {os.cpu_count()} cores",
                   "versions": {package: version(package) for package in ("datasets", "tokenizers", "transformers", "numpy")}}  # fmt: skip
        if options.memory:
            print(json.dumps(memory(options.memory, options.kind, tokenizer, folder, options.workers) | machine))
            return
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        processor: dict[str, list[float]] = {"ours": [], "theirs": []}
        for _ in range(options.repeats):
            seconds, used, tokens = ours(text, tokenizer, folder / "ours", options.workers)
            times["ours"].append(seconds)
            processor["ours"].append(used)
            seconds, used, others = theirs(text, tokenizer, folder / "theirs", options.workers)
            times["theirs"].append(seconds)
            processor["theirs"].append(used)
            assert tokens == others, f"{tokens} tokens here, {others} there"
        best = {who: min(seconds) for who, seconds in times.items()}
        print(json.dumps({
            "claim": f"tokenising {size / 1e6:.0f} MB of JSON lines with {options.workers} processes, start to finish, against datasets.map alone",
            "ours": round(size / 1e6 / best["ours"], 2), "theirs": round(size / 1e6 / best["theirs"], 2), "peer": "datasets.map",
            "unit": "MB/s", "ratio": round(best["theirs"] / best["ours"], 3),
            "seconds": {who: [round(s, 1) for s in seconds] for who, seconds in times.items()},
            "processor_seconds": {who: [round(s, 1) for s in seconds] for who, seconds in processor.items()},
            "processor_ratio": round(min(processor["theirs"]) / min(processor["ours"]), 3), "tokens": tokens, **machine,
        }))  # fmt: skip


if __name__ == "__main__":
    main()
