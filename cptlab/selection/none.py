"""Every document is kept."""

from dataclasses import dataclass

from cptlab.data.sources.base import DataSource, Documents
from cptlab.data.tokenizer import Tokenizer
from cptlab.errors import UserError
from cptlab.selection.base import Selected, Selection
from cptlab.variants import variant


@variant("selection", "none")
@dataclass(kw_only=True)
class NoSelection(Selection):
    """The corpora as their source gives them."""

    def __post_init__(self) -> None:
        if self.corpus:
            raise UserError(
                f"selection.corpus is {self.corpus}, but selection=none keeps every document; leave it empty"
            )

    def fingerprint(self) -> str:
        """Nothing is changed."""
        return ""

    def filter(self, documents: Documents, tokenizer: Tokenizer, source: DataSource) -> Selected:
        """The same readers."""
        return Selected(documents, {})
