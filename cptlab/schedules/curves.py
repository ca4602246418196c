"""Ways from one LR to a lower one: curves from 1 at progress 0 to `low` at progress 1, falling all the way."""

from collections.abc import Callable

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.schedules.base import Array

SHARPNESS = 10.0  # of inverse_sqrt: the fall is steep at first (alpha of arXiv 2403.08763, app. on infinite LRs)


def linear(progress: Array, low: float) -> Array:
    """1 - (1 - low) p"""
    return 1 - (1 - low) * progress


def cosine(progress: Array, low: float) -> Array:
    """low + (1 - low)(1 + cos(pi p))/2 (Loshchilov & Hutter 2017, arXiv 1608.03983)"""
    return low + (1 - low) * 0.5 * (1 + np.cos(np.pi * progress))


def one_minus_sqrt(progress: Array, low: float) -> Array:
    """1 - (1 - low) sqrt(p) (Hagele et al. 2024, arXiv 2405.18392)"""
    return 1 - (1 - low) * np.sqrt(progress)


def exponential(progress: Array, low: float) -> Array:
    """low^p: the same ratio every step; low above 0 (Ibrahim et al. 2024, arXiv 2403.08763)"""
    return low**progress


def inverse_sqrt(progress: Array, low: float) -> Array:
    """1 - (1 - low) h(p)/h(1), h(p) = 1 - 1/sqrt(1 + 10 p) (Ibrahim et al. 2024)"""
    return 1 - (1 - low) * (1 - (1 + SHARPNESS * progress) ** -0.5) / (1 - (1 + SHARPNESS) ** -0.5)


CURVES: dict[str, Callable[[Array, float], Array]] = {
    "linear": linear,
    "cosine": cosine,
    "1-sqrt": one_minus_sqrt,
    "exponential": exponential,
    "inverse_sqrt": inverse_sqrt,
}


def fall(curve: str, progress: Array, low: float) -> Array:
    """A curve of CURVES over any progress: 1 before 0, `low` after 1. Same shape as `progress`."""
    return CURVES[curve](np.clip(progress, 0.0, 1.0), low)


def check_curve(key: str, curve: str, low_key: str, low: float) -> None:
    """UserError for an unknown curve, or an exponential one that would have to reach 0."""
    if curve not in CURVES:
        raise UserError(f"{key} is {curve}.{closest(curve, CURVES)}")
    if curve == "exponential" and low == 0:
        raise UserError(f"{key}=exponential never reaches 0; give {low_key} a value above 0, or take {key}=linear")
