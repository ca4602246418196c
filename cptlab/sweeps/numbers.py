"""Numbers as tables show them."""

from __future__ import annotations


def si(value: float) -> str:
    """'655k', '1.23M', '4.5e+15'."""
    for limit, unit in ((1e3, ""), (1e6, "k"), (1e9, "M"), (1e12, "G"), (1e15, "T")):
        if value < limit * 0.9995:
            scaled = value / (limit / 1e3)
            return f"{scaled:.3g}{unit}" if scaled < 999.5 else f"{scaled:.0f}{unit}"
    return f"{value:.2e}"


def hours(value: float | None) -> str:
    """'12 s', '4.2 min', '3.10 h'; '?' where it is not known."""
    if value is None:
        return "?"
    seconds = value * 3600
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min" if seconds < 3600 else f"{value:.2f} h"
