"""Which corpus is the general one and which the new domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cptlab.decisions.question import Question
from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit


def roles(fits: Mapping[str, Fit], question: Question) -> tuple[str, str]:
    """(general, domain): the corpora that the question names, the records, or else the share columns tell apart."""
    known = list(fits)
    for key in ("general", "domain"):
        name = getattr(question, key)
        if name and name not in known:
            raise UserError(f"question.{key}={name} was not fitted.{closest(name, known)}")
    general = question.general or _recorded(fits, question.domain) or _whose(fits, "general_share", question.domain)
    domain = question.domain or _whose(fits, "domain_share", general)
    rest = [name for name in known if name not in (general, domain)]
    if len(known) == 2 and len(rest) == 1:
        general, domain = general or rest[0], domain or rest[0]
    for key, name in (("general", general), ("domain", domain)):
        if not name:
            raise UserError(f"no row tells which corpus is the {key} one; give question.{key}={rest[0]}")
    if general == domain:
        raise UserError(f"question.general and question.domain are both {general}; name two corpora")
    return general, domain


def _recorded(fits: Mapping[str, Fit], other: str) -> str:
    """The general corpus that the records of all rows name; '' if they differ, or it is not fitted or is `other`."""
    named = {fit.observations.general for fit in fits.values()}
    name = named.pop() if len(named) == 1 else ""
    return name if name in fits and name != other else ""


def _whose(fits: Mapping[str, Fit], column: str, other: str) -> str:
    """The one corpus whose own share is that column in all its rows; '' if none or several are."""
    same = [
        name
        for name, own in ((name, fit.observations) for name, fit in fits.items())
        if name != other and {column, "share"} <= own.columns.keys() and np.allclose(own[column], own["share"])
    ]
    return same[0] if len(same) == 1 else ""
