"""Held-out error, parameters and diagnostics of the fits: plain strings and lists for the template."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cptlab.fitting.fit import Fit
from cptlab.report.charts.heldout import BASELINES
from cptlab.report.grid import Story
from cptlab.report.words import number, significant

PROTOCOLS = {
    "ratio": "one interior share left out in turn",
    "ratio_ends": "an end share left out (extrapolation)",
    "tokens": "the last third of the tokens left out",
    "size": "the largest size left out (extrapolation)",
    "token_segments": "each third of the tokens left out in turn",
    "size_folds": "each third of the sizes left out in turn",
}


def heldout(story: Story) -> list[dict[str, Any]]:
    """A row for each corpus and protocol: the law's error beside the baselines' and the seed noise."""
    rows = []
    for corpus, fit in story.fits.items():
        for protocol in dict.fromkeys([*PROTOCOLS, *fit.heldout]):
            error = fit.heldout.get(protocol)
            if error is None or not error.num_points:
                continue
            others = {name: by[protocol] for name, by in fit.baselines.items() if protocol in by}
            nearest = others.get("nearest_run")
            known = nearest is not None and nearest.rmse > 0
            rows.append(
                {
                    "corpus": corpus,
                    "protocol": PROTOCOLS.get(protocol, protocol),
                    "points": error.num_points,
                    "law": number(1000 * error.rmse, 1),
                    "others": [
                        number(1000 * others[name].rmse, 1) if name in others else "–" for name in baseline_names(story)
                    ],
                    "ratio": number(error.rmse / nearest.rmse, 2) if known and nearest else "–",
                    "mape": number(100 * error.mape, 2) + " %",
                    "r2": number(error.r2),
                    "r2_delta": number(error.r2_delta),
                    "seed_noise": "–" if fit.seed_noise is None else number(1000 * fit.seed_noise, 1),
                }
            )
    return rows


def baseline_names(story: Story) -> list[str]:
    """Every baseline that some fit was held against."""
    return list(dict.fromkeys(name for fit in story.fits.values() for name in fit.baselines))


def baseline_heads(story: Story) -> list[str]:
    """Their names as heads of a table."""
    return [BASELINES.get(name, name) for name in baseline_names(story)]


def parameters(story: Story) -> list[dict[str, Any]]:
    """A block for each fit: formula, quality, parameters with intervals, what the data cannot tell apart."""
    blocks = []
    for corpus, fit in story.fits.items():
        declared: Mapping[str, Any] = {**fit.law.linear, **fit.law.shape}
        weak, unknown = set(fit.identifiability.at_bound), set(fit.identifiability.unknown)
        rows = []
        for name, value in fit.parameters.items():
            low, high = fit.interval(name, story.recommendation.level) if fit.num_draws else (np.nan, np.nan)
            unit = getattr(declared.get(name), "unit", "")
            note = "at its bound" if name in weak else "not identified" if name in unknown else ""
            rows.append([name, significant(value), f"[{significant(low)}, {significant(high)}]", unit, note])
        blocks.append(
            {
                "corpus": corpus,
                "law": fit.law_name,
                "formula": (type(fit.law).__doc__ or "").strip().splitlines()[:1],
                "rows": rows,
                "success": fit.success,
                "message": fit.message,
                "quality": _quality(fit),
                "sentences": [s[:1].upper() + s[1:] for s in fit.identifiability.sentences],
            }
        )
    return blocks


def _quality(fit: Fit) -> list[tuple[str, str]]:
    """How the fit went: (what, value) pairs."""
    runs = f"{fit.num_runs} runs, {fit.num_points} rows"
    starts = f"{fit.starts_reached} of {fit.starts_tried} polished" if fit.starts_tried else "not recorded"
    basin = "none found" if np.isinf(fit.next_basin) else f"{100 * fit.next_basin:.3g} % above"
    failed = f", {fit.draws_failed} did not converge" if fit.draws_failed else ""
    noise = "no seed repeats" if fit.seed_noise is None else f"{number(1000 * fit.seed_noise, 1)} mnat/token"
    return [
        ("Data", runs),
        ("R² on these rows", number(fit.r2, 4)),
        ("Objective (summed Huber of log loss)", significant(fit.objective)),
        ("Starts that reach it", starts),
        ("Next basin", basin),
        ("Bootstrap draws over whole runs", f"{fit.num_draws}{failed}"),
        ("Condition number", significant(fit.identifiability.condition)),
        ("Seed noise", noise),
    ]
