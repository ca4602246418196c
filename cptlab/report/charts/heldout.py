"""Held-out error by protocol: the law beside the baselines on the same rows."""

import numpy as np

from cptlab.report.grid import Story
from cptlab.report.marks import Axis, Chart, Mark, Omitted, Panel, Points, Rule
from cptlab.report.style import CHOICE, FOUR, MUTED, shorten

TITLE = "Held-out error against baselines"
SHORT = {"ratio": "a share", "ratio_ends": "an end share", "tokens": "last tokens", "size": "largest size"}
BASELINES = {"nearest_run": "nearest run", "quadratic": "quadratic in share", "no_law": "no law"}


def heldout_error(story: Story) -> Chart | Omitted:
    """One panel a corpus, a row a protocol, a mark for the law and each baseline."""
    panels = []
    for corpus, fit in story.fits.items():
        protocols = [name for name in reversed(fit.heldout) if fit.heldout[name].num_points]
        if corpus not in story.drawn or not protocols:
            continue
        places = np.arange(len(protocols), dtype=float)
        marks: list[Mark] = []
        for (name, by), marker, colour in zip(fit.baselines.items(), "sD^vP", (*FOUR, MUTED), strict=False):
            error = np.array([1000 * by[p].rmse if p in by else np.nan for p in protocols])
            marks.append(Points(error, places, BASELINES.get(name, name), colour, marker, 5, hollow=True, legend=True))
        law = np.array([1000 * fit.heldout[p].rmse for p in protocols])
        marks.append(Points(law, places, f"law {fit.law_name}", CHOICE, "o", 6, legend=True))
        if fit.seed_noise:
            marks.insert(0, Rule("x", 1000 * fit.seed_noise, "seed noise", MUTED))
        words = ", ".join(f"{SHORT.get(p, p)} {value:.3g}" for p, value in zip(protocols, law, strict=True))
        panels.append(
            Panel(
                f"{shorten(corpus)}: error where held out",
                f"Held-out error of the law on {corpus} [mnat/token]: {words}.",
                Axis("root mean square error", "mnat/token", log=True),
                Axis("left out", names=[SHORT.get(p, p.replace("_", " ")) for p in protocols]), marks,
            )
        )  # fmt: skip
    if not panels:
        return Omitted(TITLE, "nothing was held out")
    return Chart(
        "heldout_error",
        TITLE,
        "Further left is better: where a baseline lies left of the law, the law adds nothing there; no law gets "
        "below the seed noise.",
        panels,
    )
