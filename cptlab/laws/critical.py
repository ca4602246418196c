"""The critical mixture ratio: the largest domain share whose run keeps the general loss and is worth its cost.

Pure functions of parameters fitted by `cmr`, `cmr_domain` and `cmr_general` (Gu et al. 2024, arXiv
2407.17467). T is in units of those laws' `tokens_unit`. A share R is feasible if both margins are >= 0:

    tolerance:  tol - dL_gen(T_max)                                  the general loss rises by no more than tol
    exchange:   -min over T0 of d(dL_dom + lambda dL_gen)/dT (T0)    from some T0 on the trade is favourable

The paper states the second as d(dL_gen)/d(dL_dom) = -1/lambda at some T0 <= T_max; a run whose trade is
favourable from its start has no such T0 and counts as feasible here. lambda is not published.
"""

import numpy as np
from numpy.typing import ArrayLike

from cptlab.laws.base import Array

TOLERANCE = 0.05  # [nat/token] the paper's allowed rise of the general loss


def ratio_after(T: ArrayLike, alpha4: ArrayLike, s4: ArrayLike, beta3: ArrayLike) -> Array:
    """R_CMR(T) = alpha4 T^s4 + beta3, a share; T in units of 0.2e9 tokens for the published parameters."""
    return np.asarray(alpha4) * np.asarray(T, float) ** np.asarray(s4) + np.asarray(beta3)


def share_at_loss(cmr: Array, loss: ArrayLike) -> Array:
    """R where alpha R^s + beta equals `loss`; NaN where no share in (0, 1] has it. cmr (..., 3)."""
    alpha, beta, s = np.moveaxis(np.asarray(cmr, float), -1, 0)
    with np.errstate(all="ignore"):
        share = ((np.asarray(loss) - beta) / alpha) ** (1 / s)
    return np.where((share > 0) & (share <= 1), share, np.nan)


def general_rise(general: Array, T: ArrayLike) -> Array:
    """dL_gen(T) = alpha2 T^s2 + alpha3 T^s3 + beta2 [nat/token]. general (..., 6), T broadcasts."""
    _, alpha2, alpha3, beta2, s2, s3 = np.moveaxis(np.asarray(general, float), -1, 0)
    T = np.asarray(T, float)
    return alpha2 * T**s2 + alpha3 * T**s3 + beta2


def exchange(domain: Array, general: Array, lam: float, T: ArrayLike) -> Array:
    """T^(1 - s1) d(dL_dom + lam dL_gen)/dT; negative where more training pays. domain (..., 4), general (..., 6)."""
    constant, one, other = _exchange_terms(domain, general, lam)
    T = np.asarray(T, float)
    return constant + one[0] * T ** one[1] + other[0] * T ** other[1]


def exchange_margin(domain: Array, general: Array, lam: float, T_max: float, T_min: float = 1.0) -> Array:
    """-min of `exchange` over [T_min, T_max], exactly: its ends and its one stationary point."""
    _, (a, p), (b, q) = _exchange_terms(domain, general, lam)
    with np.errstate(all="ignore"):
        turn = (-(b * q) / (a * p)) ** (1 / (p - q))
    turn = np.clip(np.where(np.isfinite(turn), turn, T_max), T_min, T_max)
    return -np.min([exchange(domain, general, lam, T) for T in (T_min, turn, T_max)], axis=0)


def margins(
    domain: Array, general: Array, *, lam: float, T_max: float, tolerance: float = TOLERANCE, T_min: float = 1.0
) -> tuple[Array, Array]:
    """Margins of tolerance [nat/token] and of exchange. domain (..., m, 4), general (..., m, 6): m shares."""
    return tolerance - general_rise(general, T_max), exchange_margin(domain, general, lam, T_max, T_min)


def critical_ratio(
    shares: Array, domain: Array, general: Array, *,
    lam: float, T_max: float, tolerance: float = TOLERANCE, T_min: float = 1.0,
) -> Array:  # fmt: skip
    """Largest feasible share, (...,): see `margins` and `largest_feasible`. A larger tolerance never lowers it.

    shares (m,) rising. lam: general loss [nat] that one nat of domain loss is worth, inverted: the weight of
    the general loss. T_max, T_min: last and first T considered.
    """
    both = margins(domain, general, lam=lam, T_max=T_max, tolerance=tolerance, T_min=T_min)
    return largest_feasible(shares, np.minimum(*both))


def largest_feasible(shares: Array, margin: Array) -> Array:
    """Largest share with margin >= 0, margins linear between neighbours; NaN where none has it.

    shares (m,) rising, margin (..., m). The largest of `shares` itself says only "at least that much".
    """
    shares, margin = np.asarray(shares, float), np.asarray(margin, float)
    left, right = margin[..., :-1], margin[..., 1:]
    crosses = (left >= 0) & (right < 0)
    part = left / np.where(crosses, left - right, 1.0)
    crossing = np.where(crosses, shares[:-1] + part * np.diff(shares), -np.inf)
    at = np.where(margin >= 0, shares, -np.inf)
    best = np.concatenate([crossing, at], axis=-1).max(axis=-1)
    return np.where(np.isfinite(best), best, np.nan)


def _exchange_terms(
    domain: Array, general: Array, lam: float
) -> tuple[Array, tuple[Array, Array], tuple[Array, Array]]:
    """Constant, and (coefficient, exponent) of both powers of T."""
    _, alpha1, _, s1 = np.moveaxis(np.asarray(domain, float), -1, 0)
    _, alpha2, alpha3, _, s2, s3 = np.moveaxis(np.asarray(general, float), -1, 0)
    return alpha1 * s1, (lam * alpha2 * s2, s2 - s1), (lam * alpha3 * s3, s3 - s1)
