"""What is in finished corpora: counts and hashes of every split, and sample documents."""

from itertools import islice

import numpy as np

from cptlab.data.building.manifest import Corpora
from cptlab.data.building.verify import documents
from cptlab.data.tokenizer import load_tokenizer
from cptlab.data.tokens import Corpus

SAMPLES = 3
SHOWN = 200  # [character] of a sample
HEAD = ("corpus", "split", "tokens", "bytes", "documents", "bytes/token", "duplicates", "sha256")


def table(corpora: Corpora) -> str:
    """One line a corpus and split, columns aligned; below them what was left out."""
    rows: list[tuple[str, ...]] = [HEAD]
    for name, splits in corpora.corpora.items():
        for split, corpus in splits.items():
            repeated = corpora.duplicates.get(name, {}).get(split)
            rows.append((
                name, split, f"{corpus.num_tokens:,}", f"{corpus.num_bytes:,}", f"{corpus.num_documents:,}",
                f"{corpus.num_bytes / max(corpus.num_tokens, 1):.2f}",
                "not known" if repeated is None else f"{repeated:,}", corpus.content_hash[:12],
            ))  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    for name, causes in corpora.left_out.items():
        lines += [f"{name}: {number:,} documents left out: {cause}" for cause, number in causes.items() if number]
    facts = f"tokenizer {corpora.tokenizer_hash[:12]}, {corpora.vocab_size:,} ids"
    return "\n".join([corpora.path, facts, *lines])


def samples(corpora: Corpora, count: int = SAMPLES) -> str:
    """The beginnings of the first training documents of each corpus."""
    tokenizer = load_tokenizer(corpora.tokenizer_path)
    lines = []
    for name, splits in corpora.corpora.items():
        for number, ids in enumerate(islice(first_documents(splits["train"], corpora.eos_id), count), 1):
            text = " ".join(tokenizer.decode(ids[: 4 * SHOWN].tolist()).split())
            lines.append(f"{name} {number}: {text[:SHOWN]}{' ...' if len(text) > SHOWN else ''}")
    return "\n".join(lines)


def first_documents(corpus: Corpus, eos_id: int):
    """Token ids of each document, from the first on."""
    return (np.frombuffer(data, "<u4") for data in documents(corpus, eos_id))
