"""Build the corpora of a source: shards in a folder of their own, merged and renamed when they are whole.

An interrupted build leaves `.building-<name>` in the cache folder; the same command continues from it.
"""

import errno
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cptlab.data.building.choose import choose, not_selected
from cptlab.data.building.clean import find_overlap
from cptlab.data.building.lengths import causes, check_lengths
from cptlab.data.building.lock import locked, say
from cptlab.data.building.manifest import is_whole, read_manifest, remember_hashes, write_manifest
from cptlab.data.building.pool import StoppedError, Tokenisers
from cptlab.data.building.progress import BuildProgress
from cptlab.data.building.shards import merge, shards_of
from cptlab.data.building.splits import SplitFiles
from cptlab.data.building.vocabulary import save_tokenizer
from cptlab.data.sources.base import HELD_OUT, DataSource
from cptlab.data.tokenizer import Tokenizer
from cptlab.data.tokens import Corpus, token_dtype
from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.data.building.executors import Cluster
    from cptlab.selection.base import Selection

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def build(
    source: DataSource,
    folder: Path,
    fingerprint: str,
    tokenizer: Tokenizer,
    origin: str,
    workers: int,
    cluster: "Cluster | None" = None,
    selection: "Selection | None" = None,
) -> None:
    """Make `folder` whole. origin: where the tokenizer came from. Another process may have made it while we waited.

    cluster: where datatrove runs the tasks; None = processes of this machine. With SLURM the folder is whole
    when the last job has ended, not when this returns.
    """
    if source.filters and cluster is None:
        from cptlab.data.building.executors import Cluster

        cluster = Cluster("local", workers)
    with locked(folder.parent / ".locks" / folder.name, str(folder)):
        if is_whole(folder):
            return
        started = time.monotonic()
        with building_folder(folder) as building:
            save_tokenizer(origin, tokenizer, building / "tokenizer")
            if cluster is not None and source.tokens(tokenizer) is None:
                corpora = by_tasks(source, building, folder, fingerprint, tokenizer, cluster, selection)
                if cluster.kind == "slurm":
                    return
            else:
                corpora = tokenised(source, building, folder, fingerprint, tokenizer, workers, selection)
            left_out = read_manifest(building / "manifest.json")["left_out"]
            check_lengths(corpora, left_out, source.sequence_length)
            publish(building, folder)
        sizes = ", ".join(f"{name} {splits['train'].num_tokens / 1e6:.2f}M" for name, splits in corpora.items())
        say(f"built corpora in {time.monotonic() - started:.0f} s; training tokens: {sizes}")


@contextmanager
def building_folder(folder: Path) -> Iterator[Path]:
    """`.building-<name>`, kept when the build is interrupted or the disk full, removed after bad input."""
    building = folder.with_name(f".building-{folder.name}")
    try:
        building.mkdir(parents=True, exist_ok=True)
        yield building
    except StoppedError:
        raise
    except UserError:
        shutil.rmtree(building, ignore_errors=True)
        raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise UserError(
            f"no room to write {error.filename or building} ({error.strerror}); nothing that was built before is "
            f"touched. Make room and run the same command again, it continues, or remove {building}."
        ) from error


def tokenised(
    source: DataSource,
    building: Path,
    folder: Path,
    fingerprint: str,
    tokenizer: Tokenizer,
    workers: int,
    selection: "Selection | None",
) -> dict[str, dict[str, Corpus]]:
    """Every token file and the manifest, in `building`."""
    left_out: dict[str, Counter] = {}
    report: dict = {}
    readers = source.tokens(tokenizer)
    if readers is not None and selection is not None and selection.fingerprint():
        raise UserError("selection chooses documents of text, but data holds tokens; use selection=none with it")
    if readers is not None:
        say(f"reading token files {', '.join(readers)} (once) into {folder} ...")
        parts = {name: reader(building) for name, reader in readers.items()}
        corpora = {name: part[0] for name, part in parts.items()}
        unique = {name: part[1] for name, part in parts.items()}
        left_out = {name: Counter(source.left_out(name)) for name in parts}
    else:
        documents, report = choose(source, selection, tokenizer)
        say(f"building corpora {', '.join(documents)} (once) in {folder} ...")
        overlap = find_overlap(source, documents, building)
        corpora, unique = {}, {}
        with Tokenisers(building, tokenizer, overlap, workers) as tokenisers:
            for name, read in documents.items():
                shards = building / "shards" / name
                shards.mkdir(parents=True, exist_ok=True)
                left_out[name] = Counter(not_selected(report).get(name, {}))
                progress = BuildProgress(name, source.share_read)
                count = tokenisers.run(shards_of(read(), shards, tokenizer, overlap, left_out[name]), progress)
                progress.close()
                left_out[name].update(source.left_out(name))
                corpora[name], unique[name] = merge_shards(name, building, [(shards, count)], tokenizer, left_out[name])
    finish(building, fingerprint, tokenizer, corpora, unique, left_out, report)
    return corpora


def by_tasks(
    source: DataSource,
    building: Path,
    folder: Path,
    fingerprint: str,
    tokenizer: Tokenizer,
    cluster: "Cluster",
    selection: "Selection | None",
) -> dict[str, dict[str, Corpus]]:
    """The same by datatrove's executors; nothing yet where SLURM will do it."""
    from cptlab.data.building.executors import assemble, prepare_tasks, run_stages

    say(f"building corpora (once) in {folder} by datatrove's {cluster.kind} executor ...")
    documents, report = choose(source, selection, tokenizer)
    plan = prepare_tasks(
        source,
        documents,
        building,
        {"fingerprint": fingerprint, "selection": report, "sequence_length": source.sequence_length},
    )
    find_overlap(source, documents, building)
    run_stages(building, folder, plan, cluster)
    return {} if cluster.kind == "slurm" else assemble(building)


def merge_shards(
    name: str, building: Path, parts: list[tuple[Path, int]], tokenizer: Tokenizer, left_out: Counter
) -> tuple[dict[str, Corpus], dict[str, np.ndarray]]:
    """The corpus of the shards in `parts` (folder, number of shards), and the hashes of its documents."""
    with SplitFiles(name, building, token_dtype(tokenizer.vocab_size), tokenizer) as files:
        for folder, count in parts:
            merge(files, folder, count, left_out)
    corpus = files.corpora()
    if not sum(split.num_tokens for split in corpus.values()):
        raise UserError(f"corpus {name} has no text{causes(left_out)}; give it a source with at least one document.")
    return corpus, files.unique()


def finish(
    building: Path,
    fingerprint: str,
    tokenizer: Tokenizer,
    corpora: dict[str, dict[str, Corpus]],
    unique: dict[str, dict[str, np.ndarray]],
    left_out: dict[str, Counter],
    selection: dict,
) -> None:
    """Check the splits against each other; write what is not tokens, the manifest last."""
    check_disjoint(unique)
    duplicates = {
        name: {split: corpus.num_documents - len(unique[name][split]) for split, corpus in splits.items()}
        for name, splits in corpora.items()
    }
    np.save(building / "token_bytes.npy", tokenizer.token_bytes())
    counted = {name: dict(causes) for name, causes in left_out.items()}
    write_manifest(building, fingerprint, tokenizer, corpora, counted, duplicates, selection)


def check_disjoint(unique: dict[str, dict[str, np.ndarray]]) -> None:
    """UserError if a document of valid, fit or test, of any corpus, is also trained on."""
    for held, splits in unique.items():
        for split in HELD_OUT:
            for name, others in unique.items():
                shared = np.intersect1d(splits[split], others["train"], assume_unique=True)
                if len(shared):
                    raise UserError(
                        f"{len(shared)} documents of the {split} split of corpus {held} are also in the train split of "
                        f"corpus {name}; leave them out, e.g. with data.decontaminate=[held_out]."
                    )


def publish(building: Path, folder: Path) -> None:
    """Rename what is whole; shards and what only the build needed go first."""
    for part in ("shards", "text", "minhash"):
        shutil.rmtree(building / part, ignore_errors=True)
    for part in ("overlap.npy", "plan.json", "submitted.json"):
        (building / part).unlink(missing_ok=True)
    if folder.exists():  # the rest of a broken one
        shutil.rmtree(folder)
    building.rename(folder)
    remember_hashes(folder)


def default_workers() -> int:
    """One process a core that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
