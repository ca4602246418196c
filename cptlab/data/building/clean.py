"""What a source asks to be left out of its text, as part of what determines the corpora."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from cptlab.data.building.decontaminate import (
    HELD_OUT,
    Overlap,
    collect,
    held_out_texts,
    load_overlap,
    split_entry,
)
from cptlab.data.building.lock import say
from cptlab.data.hashes import file_hash
from cptlab.data.sources.base import DataSource, Documents
from cptlab.data.sources.reading import find_files, read_texts


def cleaned_fingerprint(source: DataSource) -> str:
    """The source's fingerprint, and with filters or decontamination theirs too."""
    fingerprint = source.fingerprint()
    parts: list[str] = []
    if source.filters:
        parts += ["filters 1", source.filter_language, *source.filters]
    if source.decontaminate:
        parts += ["decontaminate 1", str(source.decontaminate_ngram)]
        for entry in source.decontaminate:
            pattern, field = split_entry(entry)
            files = [] if entry == HELD_OUT else find_files("data.decontaminate", pattern)
            parts += [entry if entry == HELD_OUT else field]
            parts += [file_hash(path, Path(source.cache_dir)) for path in files]
    if not parts:
        return fingerprint
    return hashlib.sha256("\n".join([fingerprint, *parts]).encode()).hexdigest()


def find_overlap(source: DataSource, documents: Documents, building: Path) -> Overlap | None:
    """The n-grams that train documents must not hold, kept in `building`; None where none are asked for."""
    if not source.decontaminate:
        return None
    path = building / "overlap.npy"
    if (known := load_overlap(path)) is not None:
        return known

    def texts() -> Iterator[str]:
        for entry in source.decontaminate:
            if entry == HELD_OUT:
                for read in documents.values():
                    yield from held_out_texts(read())
            else:
                pattern, field = split_entry(entry)
                key = f"data.decontaminate=[{pattern}:<field>]"
                for file in find_files("data.decontaminate", pattern):
                    texts = read_texts("data.decontaminate", file, field, key=key)
                    yield from (text for text in texts if text.strip())

    overlap, short = collect(texts(), source.decontaminate_ngram)
    say(f"decontamination: {len(overlap.grams)} different {overlap.n}-grams; {short} texts have fewer words")
    overlap.save(path)
    return load_overlap(path)
