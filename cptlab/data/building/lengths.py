"""Whether every split fills a row, and what to say where one does not."""

from collections.abc import Mapping

from cptlab.data.sources.base import SPLITS
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError


def check_lengths(
    corpora: Mapping[str, Mapping[str, Corpus]], left_out: Mapping[str, Mapping[str, int]], sequence_length: int
) -> None:
    """Refuse a corpus with a split that does not fill one row. left_out: {corpus: {cause: documents}}."""
    for name, splits in corpora.items():
        for split in SPLITS:
            if splits[split].num_tokens < sequence_length + 1:
                raise UserError(
                    f"corpus {name}: its {split} split has {splits[split].num_tokens} tokens in "
                    f"{splits[split].num_documents} documents, fewer than one row of data.sequence_length + 1 = "
                    f"{sequence_length + 1}; give it more text or a shorter row{causes(left_out.get(name, {}))}."
                )


def causes(left_out: Mapping[str, int]) -> str:
    """' (documents left out: 12 gopher_quality, 3 minhash)', or '' where nothing was."""
    said = [f"{number:,} {cause}" for cause, number in left_out.items() if number]
    return f" (documents left out: {', '.join(said)})" if said else ""
