"""Which law is fitted to which domain: the one named, or with `law=auto` the one that a comparison chooses."""

from collections.abc import Iterable
from textwrap import wrap

from cptlab.errors import UserError
from cptlab.fitting.compare import compare
from cptlab.fitting.comparison import Comparison
from cptlab.laws import known_laws
from cptlab.laws.auto import Auto
from cptlab.laws.base import Law
from cptlab.records.observations import Observations

WIDTH = 100


def laws_for(law: Law, rows: Observations, seed: int = 0) -> tuple[dict[str, Law], list[Comparison]]:
    """Domain -> law, and the comparisons made for it.

    A named law holds for every domain, and nothing is compared. `auto` takes one law for all domains, by their
    pooled error on rows held out; only where no law can be fitted to all of them has each domain its own.
    """
    if not isinstance(law, Auto):
        return dict.fromkeys(rows.domains, law), []
    try:
        found = [compare(rows, seed=seed)]
    except UserError:
        if len(rows.domains) < 2:
            raise
        found = [compare(rows, domain=name, seed=seed) for name in rows.domains]
    return {name: one.law for one in found for name in one.domains}, found


def compare_with(law: Law, rows: Observations, seed: int = 0) -> list[Comparison]:
    """A named law, with its fields as they are, beside every other law; empty where nothing can be compared."""
    try:
        return [
            compare(
                rows, laws=({n: c() for n, c in known_laws().items()} | {law.variant_name: law}).values(), seed=seed
            )
        ]
    except UserError:
        return []


def by_corpus(comparisons: Iterable[Comparison]) -> dict[str, Comparison]:
    """Corpus -> its comparison, for a report; '' where one holds for all."""
    found = list(comparisons)
    return {"" if len(found) == 1 else ", ".join(one.domains): one for one in found}


def comparison_lines(comparisons: Iterable[Comparison], auto: bool) -> list[str]:
    """For a terminal: of `law=auto` the choice, why, and the table; of a named law what would be chosen."""
    lines = []
    for one in comparisons:
        head = wrap(one.why if auto else f"held-out errors would choose: {one.why}", WIDTH - 14)
        lines += [
            f"{('chosen law' if auto else 'other laws') if not i else '':<14}{text}" for i, text in enumerate(head)
        ]
        if not auto:
            continue
        rows = [part for text in one.lines() for part in ([text] if len(text) < WIDTH else wrap(text, WIDTH - 14))]
        lines += [f"{'comparison' if not i else '':<14}{text}" for i, text in enumerate(rows)]
    return lines
