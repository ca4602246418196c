"""What is in finished corpora: counts and hashes of every split, how rows cut documents, and sample documents."""

from itertools import islice

import numpy as np

from cptlab.data.best_fit import BestFitRows, document_ends
from cptlab.data.building.manifest import Corpora
from cptlab.data.building.verify import documents
from cptlab.data.rows import num_rows
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


def row_lines(corpora: Corpora, sequence_length: int, packing: str) -> str:
    """One line a corpus: how its training documents are cut into rows. Makes the index of best_fit if there is none."""
    lines = []
    for name, splits in corpora.corpora.items():
        train = splits["train"]
        if packing == "best_fit":
            report = BestFitRows(train, sequence_length, corpora.eos_id).report
            rows, documents, concatenated = report.rows, report.documents, report.split_if_concatenated
            cut = f"{of(report.split_documents, documents)} split, {of(concatenated, documents)} if concatenated"
            cut += f", padding {report.padding / (rows * sequence_length):.2%}"
        else:
            ends = document_ends(train.tokens(), corpora.eos_id)
            begins = np.concatenate([[0], ends[:-1]])
            rows, documents = num_rows(train, sequence_length), len(ends)
            across = int((begins // sequence_length != (ends - 1) // sequence_length).sum())
            longer = int((ends - begins > sequence_length).sum())
            cut = f"{of(across, documents)} split, {of(longer, documents)} longer than a row"
        lines.append(f"{name}: {rows:,} {packing} rows of {sequence_length} tokens; of {documents:,} documents {cut}")
    return "\n".join(lines)


def of(part: int, whole: int) -> str:
    """'12 (3.40%)'."""
    return f"{part:,} ({part / max(whole, 1):.2%})"


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
