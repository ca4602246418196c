"""The base of a run with another vocabulary: made once, beside the corpora, and found again by what determines it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cptlab.data.building.lock import locked, say
from cptlab.data.corpus import cache_folder, digest_at
from cptlab.data.sources.base import DataSource
from cptlab.data.tokenizer import load_tokenizer
from cptlab.errors import UserError
from cptlab.models.base import Base, Model
from cptlab.models.pretrained import Pretrained
from cptlab.vocabulary.base import Vocab
from cptlab.vocabulary.building.text import read_text, text_fingerprint

RULES = "1"  # raise it when the same choice makes another base
FACTS = "adapted_vocabulary.json"  # what was done, in the folder; without it the folder is not whole


@dataclass(frozen=True)
class Adapted:
    """A model variant that reads the new folder, the record's base, and what the folder says of itself."""

    model: Model
    base: Base
    folder: Path
    facts: dict[str, Any]


def adapt(vocab: Vocab, model: Model, base: Base, source: DataSource) -> Adapted:
    """Make the base that `vocab` asks for, or reopen it. UserError for a model or text that it cannot work on."""
    weights = model.folder()
    name = vocab.identity()["variant"]
    if weights is None:
        raise UserError(
            f"vocab={name} changes the tokens of a trained base, and this model starts from random weights; name a"
            " base (model.base_run or model.path), or use vocab=none with data.vocab_size"
        )
    refuse_second_change(weights, name)
    folder = cache_folder(source) / "vocab" / key_of(vocab, base, weights, source)
    with locked(folder.parent.parent / ".locks" / f"vocab-{folder.name}", str(folder)):
        if not (folder / FACTS).is_file():
            make(vocab, base, weights, source, folder)
    changed = Pretrained(path=str(folder))
    facts = json.loads((folder / FACTS).read_text("utf8"))
    found = replace(base, weights_sha256=changed.base().weights_sha256, vocab=facts)
    return Adapted(changed, found, folder, facts)


def key_of(vocab: Vocab, base: Base, weights: Path, source: DataSource) -> str:
    """12 hex digits of everything that determines the new base."""
    parts = [RULES, json.dumps(vocab.identity(), sort_keys=True), base.weights_sha256, digest_at(str(weights))]
    parts.append(text_fingerprint(source, *vocab.sample()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def refuse_second_change(weights: Path, name: str) -> None:
    """UserError where the base is a run, or a part of one, whose tokens were changed already.

    In a stream of domains every stage would have a tokenizer of its own and no loss could be compared.
    """
    record = weights.parent / "run.json"
    before = json.loads(record.read_text("utf8"))["base"].get("vocab") if record.is_file() else None
    if (weights / FACTS).is_file():
        before = json.loads((weights / FACTS).read_text("utf8"))
    if before:
        raise UserError(
            f"vocab={name}: the base in {weights} had its tokens changed already (vocab={before['variant']}), and a"
            " stream keeps one tokenizer; use vocab=none to go on with it, or `cptlab export` it and name the export in"
            " model.path to change them again"
        )


def make(vocab: Vocab, base: Base, weights: Path, source: DataSource, folder: Path) -> None:
    """Write the folder under another name and rename it when it is whole."""
    from cptlab.vocabulary.building.edit import check_ids
    from cptlab.vocabulary.building.fertility import compared, lines
    from cptlab.vocabulary.building.old import open_base
    from cptlab.vocabulary.building.write import reloaded, write_base

    identity = vocab.identity()
    text = read_text(source, *vocab.sample())
    old = open_base(weights)
    say(f"vocab={identity['variant']}: making its base (once) in {folder} ...")
    made = vocab.make(old, text)
    new = reloaded(made.spec, made.eos)
    check_ids(old.tokenizer, new, made.ids)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        write_base(old, made, identity["pad_to"], temporary, made.chat)
        facts = {
            "variant": identity["variant"],
            "fields": identity,
            "base_weights_sha256": base.weights_sha256,
            "tokens": {"before": old.tokenizer.vocab_size, "after": new.vocab_size, **made.counts},
            "rows": {"before": old.ends.rows, "after": -(-new.vocab_size // identity["pad_to"]) * identity["pad_to"]},
            "made": made.notes,
            "tokenizer_hash": load_tokenizer(str(temporary)).hash,
            "fertility": compared(old.tokenizer, new, text.measured),
            "held_out": text.held_out,
        }
        (temporary / FACTS).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
        say("\n".join(lines(facts)))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
