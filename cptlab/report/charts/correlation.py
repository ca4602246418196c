"""Correlation of the parameters over the draws: which values the data can only tell together."""

import numpy as np

from cptlab.fitting.fit import Fit
from cptlab.report.grid import Array, Story
from cptlab.report.marks import Axis, Chart, Field, Omitted, Panel
from cptlab.report.style import shorten

TITLE = "Correlation of the parameters"
MOST = 14  # parameters in a matrix
STRONG = 0.9


def rank_correlation(fit: Fit) -> tuple[list[str], Array]:
    """Names of the parameters that move, and Spearman's correlation over the draws (k, k)."""
    from scipy.stats import rankdata

    moves = np.isfinite(fit.draws).all(axis=0) & (np.ptp(fit.draws, axis=0) > 0) if fit.num_draws else ()
    which = np.flatnonzero(moves)
    names = [fit.law.parameter_names[i] for i in which]
    if len(names) < 2 or fit.num_draws < 3:
        return names, np.ones((len(names), len(names)))
    return names, np.corrcoef(rankdata(fit.draws[:, which], axis=0), rowvar=False)


def correlation(story: Story) -> Chart | Omitted:
    """One matrix a corpus."""
    panels = []
    for corpus, fit in story.fits.items():
        names, rho = rank_correlation(fit)
        if corpus not in story.drawn or not 2 <= len(names) <= MOST or len(fit.draws) < 3:
            continue
        k = np.arange(len(names), dtype=float)
        pairs = [
            f"{names[i]} and {names[j]} {rho[i, j]:+.2f}"
            for i in range(len(names)) for j in range(i) if abs(rho[i, j]) > STRONG
        ]  # fmt: skip
        alt = f"Rank correlation of {', '.join(names)} over {len(fit.draws)} draws of {corpus}; above {STRONG:g}: "
        panels.append(
            Panel(
                f"{shorten(corpus)}: correlation over draws", f"{alt}{'; '.join(pairs) or 'none'}.",
                Axis("parameter", names=names), Axis("parameter", names=names[::-1]),
                [Field(k, k, rho[::-1], "rank correlation", limits=(-1.0, 1.0))],
            )
        )  # fmt: skip
    if not panels:
        return Omitted(TITLE, f"there are no draws of 2 to {MOST} free parameters")
    return Chart(
        "correlation",
        TITLE,
        "Near 1 or −1 two parameters can trade places without the losses noticing: neither value is a fact, their "
        "common prediction may be.",
        panels,
    )
