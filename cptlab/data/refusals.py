"""Corpora that do not fit together, or that are not there."""

from typing import NoReturn

from cptlab.data.tokens import Corpus
from cptlab.errors import UserError, closest


def refuse_source(name: str, names: list[str]) -> NoReturn:
    """UserError for a corpus to replay that data does not have."""
    if not name:
        raise UserError(f"replay.corpus is empty and data.general too; name one of {', '.join(names)}")
    raise UserError(f"replay.corpus is {name}, which data does not have.{closest(name, names)}")


def check_tokenizers(corpora: list[Corpus]) -> None:
    """UserError unless all corpora were cut by one tokenizer."""
    for corpus in corpora:
        if corpus.tokenizer_hash != corpora[0].tokenizer_hash:
            raise UserError(
                f"corpus {corpus.name} was cut by another tokenizer (hash {corpus.tokenizer_hash[:12]}) than"
                f" {corpora[0].name} ({corpora[0].tokenizer_hash[:12]}); build both with one data.tokenizer"
            )
