"""Shares of corpora as a user gives them: checked by name and turned into rows of weights."""

from collections.abc import Mapping, Sequence

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.mixtures.base import Array

TOLERANCE = 1e-6  # by which given shares may miss a sum of 1


def check_share(value: float, key: str) -> None:
    """UserError unless `value` lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"{key} is {value}; it must lie in [0, 1]")


def check_shares(shares: Mapping[str, float], key: str) -> None:
    """UserError unless every share lies in [0, 1] and they sum to 1; an empty mapping passes."""
    for name, share in shares.items():
        check_share(share, f"{key}.{name}")
    if shares and abs(sum(shares.values()) - 1) > TOLERANCE:
        raise UserError(f"{key} sum to {sum(shares.values()):g}; they must sum to 1")


def check_names(names: Sequence[str], corpora: Sequence[str], key: str = "mixture") -> None:
    """UserError for a name that is no corpus."""
    for name in names:
        if name not in corpora:
            raise UserError(f"{key} names the corpus {name}, which data does not have.{closest(name, corpora)}")


def row_of(shares: Mapping[str, float], corpora: Sequence[str], key: str = "mixture") -> Array:
    """(len(corpora),) shares in the order of `corpora`, 0 where none is given, scaled to sum to exactly 1."""
    check_names(list(shares), corpora, key)
    row = np.array([float(shares.get(name, 0.0)) for name in corpora])
    return row / row.sum()


def two_shares(share: float, domain: str, corpora: Sequence[str], general: str) -> dict[str, float]:
    """`share` to one domain, the rest to the general corpus; domain "" = the only corpus beside the general one."""
    others = [name for name in corpora if name != general]
    if not general and len(corpora) == 1 and not domain:
        return {corpora[0]: 1.0}
    if not domain and len(others) != 1 and share > 0:
        raise UserError(
            f"mixture.domain_share needs one domain but data has {len(others)} beside the general corpus"
            f" ({', '.join(others)}); name it with mixture.domain or give mixture.shares"
        )
    if not general and share < 1:
        raise UserError("mixture.domain_share below 1 needs a general corpus; name it with data.general")
    if domain and domain == general:
        raise UserError(f"mixture.domain is {domain}, the general corpus itself; name the new domain")
    domain = domain or (others[0] if others else "")
    shares = {domain: share} if domain else {}
    return shares | ({general: 1 - share} if general else {})


def given_row(shares: Mapping[str, float], share: float, domain: str, corpora: Sequence[str], general: str) -> Array:
    """`shares` where they are given, else `share` of the domain against the general corpus: (len(corpora),)."""
    return row_of(shares or two_shares(share, domain, corpora, general), corpora)


def proportional(amounts: Array, what: str) -> Array:
    """Amounts scaled to shares. UserError where they are negative, not finite or all zero."""
    if not np.isfinite(amounts).all() or (amounts < 0).any() or not amounts.sum() > 0:
        raise UserError(f"{what} are {amounts.tolist()}; they must be finite, 0 or more, and not all 0")
    return amounts / amounts.sum()
