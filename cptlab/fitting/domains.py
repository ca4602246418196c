"""One law fitted to every corpus of a table: what most questions need."""

from collections.abc import Iterable
from typing import Any

from cptlab.errors import UserError
from cptlab.fitting.fit import fit
from cptlab.fitting.result import Fit
from cptlab.fitting.table import as_observations
from cptlab.laws.base import Law


def fit_domains(law: str | Law, table: Any, domains: Iterable[str] | None = None, **options: Any) -> dict[str, Fit]:
    """Corpus -> its fit, all with the same options, so that their draws pair and `recommend` can weigh one by another.

    table: as for `fit`, with a column `domain`. domains: which corpora; None = all, in order of appearance.
    options: of `fit` (general, num_draws, seed, heldout, fixed, delta). UserError where no column names the corpora.
    """
    found = as_observations(table).domains
    if not all(found):
        raise UserError(
            "the table has no column domain, the corpus of each loss; add it, or fit one corpus with cptlab.fit"
        )
    return {name: fit(law, table, domain=name, **options) for name in (found if domains is None else domains)}
