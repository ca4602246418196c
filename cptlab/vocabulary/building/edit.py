"""tokenizer.json with tokens added or taken away; every id that stays in use is checked afterwards."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from cptlab.data.tokenizer import Tokenizer
from cptlab.errors import UserError
from cptlab.vocabulary.building.surface import BYTE, byte_alphabet, is_byte_level


def listed(spec: dict[str, Any]) -> dict[str, Any]:
    """The same tokenizer with its added tokens in the model's vocabulary too.

    `tokenizers` gives an added token the id behind the model's last one unless the model knows its content.
    """
    for added in spec["added_tokens"]:
        spec["model"]["vocab"].setdefault(added["content"], added["id"])
    return spec


def with_tokens(spec: dict[str, Any], first: int, tokens: Sequence[str], merges: Iterable[Sequence[str]]) -> dict:
    """`tokens` get the ids from `first` on; `merges` stand behind all those that are there."""
    spec = listed(spec)
    vocab = spec["model"]["vocab"]
    if taken := [token for token in tokens if token in vocab]:
        raise ValueError(f"{taken[0]} is in the vocabulary already")
    vocab.update({token: first + i for i, token in enumerate(tokens)})
    spec["model"]["merges"] = [*spec["model"]["merges"], *(list(pair) for pair in merges)]
    return spec


def with_special(spec: dict[str, Any], first: int, contents: Sequence[str]) -> dict[str, Any]:
    """Special tokens with the ids from `first` on."""
    spec = listed(spec)
    for index, content in enumerate(contents, first):
        spec["model"]["vocab"][content] = index
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        spec["added_tokens"].append({"id": index, "content": content, **flags})
    return spec


def needed(spec: dict[str, Any], used: Iterable[int]) -> list[int]:
    """Ids to keep so that text which needs no other token than `used` is cut as before, in rising order.

    A BPE that once merged a pair has the result inside one of its final tokens: what leads to those is enough, with
    the single bytes or characters that every text falls back to, and all added tokens.
    """
    spec = listed(spec)
    vocab = spec["model"]["vocab"]
    names = {index: token for token, index in vocab.items()}
    parts: dict[str, set[str]] = defaultdict(set)
    for left, right in spec["model"]["merges"]:
        parts[left + right] |= {left, right}
    fallback = bool(spec["model"].get("byte_fallback"))
    letters = set(byte_alphabet()) if is_byte_level(spec) else set()
    base = {t for t in vocab if t in letters or BYTE.fullmatch(t) or (len(t) == 1 and not fallback)}
    waiting = list(base | {added["content"] for added in spec["added_tokens"]} | {names[index] for index in used})
    if (unknown := spec["model"].get("unk_token")) in vocab:
        waiting.append(unknown)
    kept: set[str] = set()
    while waiting:
        token = waiting.pop()
        if token not in kept:
            kept.add(token)
            waiting += parts[token]
    return sorted(vocab[token] for token in kept)


def with_only(spec: dict[str, Any], kept: Sequence[int]) -> tuple[dict[str, Any], dict[int, int]]:
    """(the tokenizer with the tokens `kept` alone, renumbered in their order; {old id: new id})."""
    spec = listed(spec)
    ids = {old: new for new, old in enumerate(kept)}
    model = spec["model"]
    model["vocab"] = {token: ids[old] for token, old in model["vocab"].items() if old in ids}
    vocab = model["vocab"]
    model["merges"] = [
        pair for pair in model["merges"] if pair[0] in vocab and pair[1] in vocab and pair[0] + pair[1] in vocab
    ]
    for added in spec["added_tokens"]:
        added["id"] = ids[added["id"]]
    spec["post_processor"] = renumbered(spec.get("post_processor"), vocab)
    return spec, ids


def renumbered(node: Any, vocab: dict[str, int]) -> Any:
    """A post-processor whose special tokens have the ids of `vocab`."""
    if isinstance(node, list):
        if len(node) == 2 and isinstance(node[0], str) and isinstance(node[1], int) and node[0] in vocab:
            return [node[0], vocab[node[0]]]  # BERT's and RoBERTa's
        return [renumbered(part, vocab) for part in node]
    if isinstance(node, dict):
        if {"ids", "tokens"} <= set(node):
            return node | {"ids": [vocab[token] for token in node["tokens"]]}
        return {key: renumbered(part, vocab) for key, part in node.items()}
    return node


def check_ids(old: Tokenizer, new: Tokenizer, ids: dict[int, int]) -> None:
    """UserError unless each kept token is found under its new id."""
    names = {index: token for token, index in old.backend.get_vocab(with_added_tokens=True).items()}
    found = new.backend.get_vocab(with_added_tokens=True)
    for before, after in ids.items():
        if before in names and found.get(names[before]) != after:
            raise UserError(
                f"vocab: the changed tokenizer has {names[before]!r} at {found.get(names[before])}, not at {after};"
                " this kind of tokenizer.json cannot be changed, use vocab=replace with one of your own"
            )


def dumped(spec: dict[str, Any]) -> str:
    """As text of a tokenizer.json."""
    return json.dumps(spec, ensure_ascii=False, indent=2)
