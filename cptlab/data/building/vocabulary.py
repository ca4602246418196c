"""The tokenizer of corpora: a BPE trained on a sample of the text where none is given, kept beside the tokens."""

import json
import os
import shutil
from pathlib import Path

from cptlab.data.building.lock import locked, say
from cptlab.data.sources.base import DataSource, Documents, split_of
from cptlab.data.tokenizer import Tokenizer, load_tokenizer, train_bpe, training_sample
from cptlab.errors import UserError


def train_tokenizer(documents: Documents, source: DataSource, folder: Path) -> None:
    """A byte-level BPE on training documents of the general corpus, or of all where there is none."""
    names = [source.general] if source.general else list(documents)
    training = (d for name in names for d in documents[name]() if d.text.strip() and split_of(d) == "train")
    texts = training_sample(training)
    if not texts:
        raise UserError(f"corpus {', '.join(names)} has no training text to train a tokenizer on.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    train_bpe(texts, source.vocab_size, temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def save_tokenizer(path: str, tokenizer: Tokenizer, folder: Path) -> None:
    """Keep the tokenizer beside its tokens, with what transformers needs to load it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tokenizer.backend.save(str(folder / "tokenizer.json"))
    for name in ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (Path(path) / name).is_file():
            shutil.copyfile(Path(path) / name, folder / name)
    if not (folder / "tokenizer_config.json").exists():
        eos = tokenizer.backend.id_to_token(tokenizer.eos_id)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": eos}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    if load_tokenizer(str(folder)).eos_id != tokenizer.eos_id:
        raise UserError(f"data.tokenizer: the end-of-text token of {path} is lost when it is saved; set its eos_token.")


def train_once(source: DataSource, trained: Path) -> None:
    """The byte-level BPE of a source without a tokenizer, trained by whoever comes first."""
    with locked(trained.parent.parent / ".locks" / trained.name, f"the tokenizer {trained}"):
        if not (trained / "tokenizer.json").is_file():
            say(f"training a byte-level BPE of {source.vocab_size} tokens (once) ...")
            train_tokenizer(source.documents(), source, trained)
