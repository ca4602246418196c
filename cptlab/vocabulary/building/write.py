"""A base with another vocabulary as a Hugging Face folder: the base's files with other ends and another tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.tokenizer import Tokenizer, tokenizer_hash
from cptlab.errors import UserError
from cptlab.models.tensor_files import copy_files, with_rows, write_like
from cptlab.vocabulary.building.edit import dumped
from cptlab.vocabulary.building.old import OldBase
from cptlab.vocabulary.building.rows import NewVocabulary, padded

if TYPE_CHECKING:
    from torch import Tensor

# Of tokenizer_config.json; the rest describes a class or ids of the tokenizer that was.
KEPT_KEYS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token",
             "chat_template", "model_max_length", "padding_side", "clean_up_tokenization_spaces")  # fmt: skip
# Files of a tokenizer that would contradict the new tokenizer.json.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                   "tokenizer.model", "vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model",
                   "spiece.model", "vocab.model")  # fmt: skip
SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id")


def reloaded(spec: dict[str, Any], eos: str) -> Tokenizer:
    """The tokenizer of a tokenizer.json. UserError where the library does not take it."""
    from tokenizers import Tokenizer as Backend

    text = dumped(spec)
    try:
        backend = Backend.from_str(text)
    except Exception as error:
        raise UserError(f"vocab: the changed tokenizer cannot be read ({error}); use vocab=replace") from error
    index = backend.token_to_id(eos)
    if index is None:
        raise UserError(f"vocab: the new tokenizer has no {eos!r} to end texts with; add it as a special token")
    size = 1 + max(backend.get_vocab(with_added_tokens=True).values())
    return Tokenizer(backend, index, size, tokenizer_hash(backend.to_str()))


def write_base(old: OldBase, made: NewVocabulary, pad_to: int, folder: Path, chat: Path | None = None) -> None:
    """Every file of the new base. chat: whose tokenizer_config.json goes with it, None = the base's."""
    rows = padded(made.rows.size, pad_to)
    sides = dict.fromkeys(old.ends.inputs, "input") | dict.fromkeys(old.ends.outputs, "output")
    entries = {n: with_rows(e, rows) if n in sides else e for n, e in old.tensors.entries.items()}

    def tensor(name: str) -> Tensor:
        return made.rows.apply(sides[name], old.tensors[name], rows) if name in sides else old.tensors[name]

    copy_files(old.folder, folder, (*TOKENIZER_FILES, "adapted_vocabulary.json"))
    write_like(old.tensors, folder, entries, tensor)
    for name in ("config.json", "generation_config.json"):
        if (folder / name).is_file():
            config = json.loads((folder / name).read_text("utf8"))
            eos = reloaded(made.spec, made.eos).eos_id
            (folder / name).write_text(json.dumps(renumbered(config, made, rows, eos), indent=2) + "\n", "utf8")
    (folder / "tokenizer.json").write_text(dumped(made.spec), "utf8")
    write_tokenizer_config(chat or old.folder, folder, made)


def renumbered(config: dict[str, Any], made: NewVocabulary, rows: int, eos: int) -> dict[str, Any]:
    """config.json or generation_config.json with the new size and the new ids of special tokens."""
    config = dict(config)
    if "vocab_size" in config:
        config["vocab_size"] = rows
    if isinstance(config.get("text_config"), dict):
        config["text_config"] = renumbered(config["text_config"], made, rows, eos)
    for key in SPECIAL_IDS:
        value = config.get(key)
        if value is None:
            continue
        new = [made.ids[i] for i in (value if isinstance(value, list) else [value]) if i in made.ids]
        if key == "eos_token_id" and not new:
            new = [eos]
        config[key] = new if isinstance(value, list) and new else new[0] if new else None
    return config


def write_tokenizer_config(source: Path, folder: Path, made: NewVocabulary) -> None:
    """Names of special tokens that the new tokenizer has, and the chat template; the class reads tokenizer.json."""
    contents = {added["content"] for added in made.spec["added_tokens"]}
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (source / name).is_file():
            config |= json.loads((source / name).read_text("utf8"))
    kept: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    for key in KEPT_KEYS:
        value = config.get(key)
        content = value.get("content") if isinstance(value, dict) else value
        if value is not None and (not key.endswith("_token") or content in contents):
            kept[key] = content if key.endswith("_token") else value
    kept["eos_token"] = made.eos
    (folder / "tokenizer_config.json").write_text(json.dumps(kept, ensure_ascii=False, indent=2) + "\n", "utf8")
    if (source / "chat_template.jinja").is_file():
        text = (source / "chat_template.jinja").read_text("utf8")
        (folder / "chat_template.jinja").write_text(text, "utf8")
