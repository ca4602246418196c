"""The loaders that benchmarks/loader.py compares with: each endless, (B, T + 1) rows of tokens, shuffled, one process.

Each is given what suits it: tokens already cut and stored in its own format, no document positions, no labels.
"""

import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np
import torch

LENGTH, ROWS = 2049, 8


def stacked(samples, rows=ROWS):
    """Endless batches of an endless iterator of (T + 1,) tensors."""
    while True:
        yield torch.stack([next(samples) for _ in range(rows)])


def datasets_interleave(corpora, weights, folder: Path):
    """Map-style `interleave_datasets` of shuffled, pre-tokenized rows, as tensors."""
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features({"tokens": datasets.Sequence(datasets.Value("uint16"), length=LENGTH)})
    parts = []
    for name, tokens in corpora.items():
        rows = tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)
        path = folder / "datasets" / name
        if not path.exists():
            datasets.Dataset.from_dict({"tokens": rows}, features=features).save_to_disk(str(path))
        parts.append(datasets.load_from_disk(str(path)).shuffle(seed=0))
    mixed = datasets.interleave_datasets(parts, list(weights), seed=0, stopping_strategy="all_exhausted")
    mixed = mixed.with_format("torch")
    while True:
        for batch in mixed.iter(batch_size=ROWS, drop_last_batch=True):
            yield batch["tokens"]


def one(tokens):
    """litdata's `optimize` calls this on every input."""
    yield torch.from_numpy(tokens.astype(np.int32))


def litdata_combined(corpora, weights, folder: Path):
    """`CombinedStreamingDataset` over `TokensLoader` blocks through its own loader."""
    import litdata

    parts = []
    for name, tokens in corpora.items():
        path = folder / "litdata" / name
        if not path.exists():
            pieces = [tokens[i : i + 2**20] for i in range(0, len(tokens), 2**20)]
            litdata.optimize(
                one, pieces, str(path), chunk_size=LENGTH * 2048, num_workers=1, verbose=False,
                item_loader=litdata.TokensLoader(),
            )  # fmt: skip
        loader = litdata.TokensLoader(block_size=LENGTH)
        parts.append(litdata.StreamingDataset(str(path), item_loader=loader, shuffle=True, seed=0))
    mixed = litdata.CombinedStreamingDataset(parts, seed=0, weights=list(weights), iterate_over_all=False)
    while True:
        yield from litdata.StreamingDataLoader(mixed, batch_size=ROWS, num_workers=0, drop_last=True)


def mosaic_streaming(corpora, weights, folder: Path):
    """`StreamingDataset` of weighted `Stream`s of one ndarray a sample."""
    stub_torchvision()
    import streaming

    streaming.base.util.clean_stale_shared_memory()
    streams = []
    for name, tokens in corpora.items():
        path = folder / "mosaic" / name
        if not path.exists():
            with streaming.MDSWriter(out=str(path), columns={"tokens": f"ndarray:uint16:{LENGTH}"}) as out:
                for i in range(len(tokens) // LENGTH):
                    out.write({"tokens": np.ascontiguousarray(tokens[i * LENGTH : (i + 1) * LENGTH])})
        streams.append(streaming.Stream(local=str(path), proportion=weights[len(streams)]))
    mixed = streaming.StreamingDataset(streams=streams, batch_size=ROWS, shuffle=True, epoch_size=200_000)

    def samples():
        while True:
            for sample in mixed:
                yield torch.from_numpy(sample["tokens"].astype(np.int64))

    yield from stacked(samples())


def stub_torchvision():
    """streaming imports torchvision for its image datasets; text needs none of it."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional"):  # fmt: skip
            module = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            module.VisionDataset = module.CIFAR10 = module.ImageFolder = object  # type: ignore[attr-defined]
            module.to_tensor = None  # type: ignore[attr-defined]
            sys.modules[name] = module


def megatron_blend(corpora, weights, folder: Path, eos_id=0):
    """`BlendedDataset` of `GPTDataset`s over `.bin/.idx` files; their own labels, masks and positions are cached."""
    from megatron.core.datasets.blended_dataset import BlendedDataset
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder
    from megatron.core.datasets.utils import Split

    if not torch.distributed.is_initialized():  # it asks for its rank before it builds an index
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

    class Tokenizer:
        vocab_size, eod, pad, unique_identifiers = 65536, eos_id, -1, {"class": "none"}

    config = GPTDatasetConfig(
        random_seed=0, sequence_length=LENGTH - 1, blend=(list(corpora), list(weights)), split="1,0,0",
        path_to_cache=str(folder / "megatron" / "cache"), reset_position_ids=False, reset_attention_mask=False,
        eod_mask_loss=False, create_attention_mask=False, tokenizer=Tokenizer(),
    )  # type: ignore[arg-type] # fmt: skip
    parts = []
    for name, tokens in corpora.items():
        prefix = folder / "megatron" / name
        if not prefix.with_suffix(".idx").exists():
            prefix.parent.mkdir(parents=True, exist_ok=True)
            builder = IndexedDatasetBuilder(str(prefix.with_suffix(".bin")), dtype=np.uint16)
            ends = np.append(np.flatnonzero(tokens == eos_id) + 1, len(tokens))
            for start, end in zip(np.append(0, ends[:-1]).tolist(), ends.tolist(), strict=True):
                if end > start:
                    builder.add_document(torch.from_numpy(np.array(tokens[start:end])), [end - start])
            builder.finalize(str(prefix.with_suffix(".idx")))
        indexed = IndexedDataset(str(prefix), mmap=True)
        documents = np.arange(len(indexed.document_indices) - 1, dtype=np.int32)
        parts.append(GPTDataset(indexed, str(prefix), documents, 400_000, Split.train, config))
    mixed = BlendedDataset(parts, list(weights), 300_000, config)

    def samples():
        while True:
            for i in range(len(mixed)):
                yield mixed[i]["tokens"]

    yield from stacked(samples())


PEERS = {
    "datasets": datasets_interleave,
    "litdata": litdata_combined,
    "megatron-core": megatron_blend,
    "mosaicml-streaming": mosaic_streaming,
}
