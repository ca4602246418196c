"""Selection keeps some training documents of one corpus when the corpora are built, before they are tokenised.

A rule gives every training document a score; what is kept follows from scores and token counts alone. Held-out
documents (valid, fit, test) are never selected: every selection of a corpus is judged on the same text. The tokens of a
selected corpus lie in a folder of their own, whose name the rule's fingerprint enters.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cptlab.data.sources.base import DataSource, Document, Documents, split_of
from cptlab.data.tokenizer import Tokenizer
from cptlab.errors import UserError, closest

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]
Mask = NDArray[np.bool_]
Reader = Callable[[], Iterator[Document]]
RULES = "1"  # raise it when the rules of this room keep other documents


class Selected(NamedTuple):
    """The documents of every corpus after selection, and what the manifest says of it ({} = nothing was selected)."""

    documents: Documents
    report: dict


@dataclass(kw_only=True)
class Selection(ABC):
    """`corpus` names the corpus that is selected from; "" is the only one beside the general corpus."""

    corpus: str = ""  # corpus that is selected from; "" = the only one beside the general corpus
    score_column = ""  # field or column of the source that becomes Document.score; no field unless a rule has one

    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of everything that determines the choice, beside the source and the tokenizer; "" = keep all."""

    @abstractmethod
    def filter(self, documents: Documents, tokenizer: Tokenizer, source: DataSource) -> Selected:
        """Read what must be read to decide; returns readers that give the kept documents alone."""


@dataclass(kw_only=True)
class ScoredSelection(Selection):
    """A rule that scores every training document, then keeps by score and size."""

    @abstractmethod
    def scores(self, training: Reader, documents: Documents) -> Array:
        """One score a training document, in reading order: (n,). NaN = cannot be scored and is dropped.

        training: starts reading the documents to choose among; documents: every corpus, for rules with a target.
        """

    @abstractmethod
    def keep(self, scores: Array, tokens: Tokens) -> Mask:
        """(n,) scores, without NaN, and (n,) tokens of each document -> (n,) which to keep."""

    def fingerprint(self) -> str:
        """Hash of the rule's name, its fields and what its fields point at."""
        values = {f.name: getattr(self, f.name) for f in fields(self)} | dict(self.pointed_at())
        name = self.variant_name  # type: ignore[attr-defined]
        return hashlib.sha256(json.dumps([RULES, name, values], sort_keys=True).encode()).hexdigest()

    def pointed_at(self) -> Mapping[str, str]:
        """{field: hash} of fields that are paths: their content counts, not their name."""
        return {}

    def filter(self, documents: Documents, tokenizer: Tokenizer, source: DataSource) -> Selected:
        """Score and count the training documents of one corpus, then keep some."""
        name = self.chosen_corpus(list(documents), source.general)
        read = source.scored(name, self.score_column) if self.score_column else documents[name]

        def training() -> Iterator[Document]:
            return (document for document in read() if is_candidate(document))

        sizes = [len(ids) + 1 for ids in tokenizer.encode(document.text for document in training())]
        tokens = np.array(sizes, dtype=np.int64)
        if not len(tokens):
            raise UserError(f"selection.corpus: corpus {name} has no training documents to choose among")
        scores = self.scores(training, documents)
        known = ~np.isnan(scores)
        kept = np.zeros(len(tokens), dtype=bool)
        if known.any():
            kept[known] = self.keep(scores[known], tokens[known])
        if not kept.any():
            raise UserError(
                f"selection={self.variant_name} keeps none of the {len(kept)} training documents of {name}"  # type: ignore[attr-defined]
                f"{score_range(scores[known])}; loosen it"
            )

        def selected() -> Iterator[Document]:
            place = iter(kept.tolist())
            return (document for document in read() if not is_candidate(document) or next(place))

        return Selected(documents | {name: selected}, self.report(name, kept, tokens))

    def chosen_corpus(self, names: list[str], general: str) -> str:
        """The corpus to choose from. UserError for one that is not there or not named."""
        if self.corpus:
            if self.corpus not in names:
                raise UserError(f"selection.corpus={self.corpus} is none of the corpora.{closest(self.corpus, names)}")
            return self.corpus
        others = [name for name in names if name != general]
        if len(others) != 1:
            raise UserError(
                f"data has {len(others)} corpora beside the general one ({', '.join(others)}); name the one to choose"
                " from with selection.corpus"
            )
        return others[0]

    def report(self, name: str, kept: Mask, tokens: Tokens) -> dict:
        """What was kept and dropped, for the manifest."""
        return {
            "variant": self.variant_name,  # type: ignore[attr-defined]
            **{f.name: getattr(self, f.name) for f in fields(self)},
            "corpus": name,
            "kept_documents": int(kept.sum()),
            "dropped_documents": int((~kept).sum()),
            "kept_tokens": int(tokens[kept].sum()),
            "dropped_tokens": int(tokens[~kept].sum()),
        }


def is_candidate(document: Document) -> bool:
    """Whether a document can be selected: one to train on, with text in it."""
    return split_of(document) == "train" and bool(document.text.strip())


def score_range(scores: Array) -> str:
    """' (scores from 0.1 to 0.9)', or '' without scores."""
    return f" (scores from {scores.min():g} to {scores.max():g})" if len(scores) else ""
