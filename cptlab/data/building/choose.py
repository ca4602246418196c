"""Selection, between a source's documents and everything that a build does with them."""

from typing import TYPE_CHECKING

from cptlab.data.sources.base import DataSource, Documents
from cptlab.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    from cptlab.selection.base import Selection


def choose(source: DataSource, selection: "Selection | None", tokenizer: Tokenizer) -> tuple[Documents, dict]:
    """The documents to build from, and what the manifest says of the choice ({} = all)."""
    documents = source.documents()
    if selection is None:
        return documents, {}
    selected = selection.filter(documents, tokenizer, source)
    return selected.documents, selected.report


def not_selected(report: dict) -> dict[str, dict[str, int]]:
    """{corpus: {cause: documents left out}} of a choice, for the counts of everything that was left out."""
    return {report["corpus"]: {report["variant"]: report["dropped_documents"]}} if report else {}
