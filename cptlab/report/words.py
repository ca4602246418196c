"""Numbers as a page writes them: fixed decimals, real minus signs, dashes for what is absent."""

from collections.abc import Callable

import numpy as np


def number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals with a real minus sign; a dash for what is absent or not finite."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """Like `number`, with a plus sign for what rose."""
    return ("+" if round(value, digits) > 0 else "") + number(value, digits)


def significant(value: float) -> str:
    """Four significant digits, for parameters of any scale."""
    return f"{value:.4g}".replace("-", "−") if np.isfinite(value) else ("∞" if value > 0 else "–")


def share_interval(low: float, high: float) -> str:
    """'[47, 56]' in percent, one decimal where the interval is narrower than two points."""
    digits = 0 if 100 * (high - low) >= 2 else 1
    return f"[{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def interval(low: float, high: float, write: Callable[[float], str] = number) -> str:
    """'[low, high]'."""
    return f"[{write(low)}, {write(high)}]"
