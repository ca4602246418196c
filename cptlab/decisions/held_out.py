"""What left-out runs say of a law along the quantities that a question chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cptlab.decisions.case import Case
from cptlab.decisions.found import is_share

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

# Chosen quantity -> the held-out protocol that tests a law along it, and what that leaves out, in words.
PROTOCOLS = {"domain_share": "ratio", "num_params": "size", "tokens": "tokens"}
LEFT_OUT = {"ratio": "left-out shares", "size": "a left-out size", "tokens": "left-out tokens"}
KNOWN = (*LEFT_OUT, "ratio_ends")  # those that a doubt may rest on; the first tokens are no question's
READS = {
    "domain_share": ("share", "domain_share", "general_share"),
    "peak_lr": ("peak_lr", "lr_area", "anneal_area"),
    "potential": ("base_lr_area", "base_anneal_area"),
}


def _protocols(fit: Fit, varied: Sequence[str]) -> list[str]:
    """Held-out protocols that test a law along the chosen quantities; every measured one where none is known."""
    mixed = any(is_share(name) for name in fit.law.inputs)
    of_corpus = any(name.startswith("share_") for name in varied) and mixed
    read = [x for x in varied if set(READS.get(x, (x,))) & set(fit.law.inputs) or (x == "domain_share" and mixed)]
    known = ["ratio"] * of_corpus + [PROTOCOLS[name] for name in read if name in PROTOCOLS]
    return known or ([name for name in fit.heldout if name in KNOWN] if read else [])


def held_out_doubts(case: Case, varied: Sequence[str]) -> Iterator[str]:
    """A law that does no better on left-out runs than the nearest run gives no reason to believe it."""
    for role, fit in case.fits.items():
        name, protocols = case.names[role], _protocols(fit, varied)
        measured = [protocol for protocol in protocols if rmse(fit, protocol) is not None]
        for protocol in measured:
            ours, (theirs, whose) = rmse(fit, protocol), best_baseline(fit, protocol)
            if ours is not None and ours >= theirs:
                yield (
                    f"on {LEFT_OUT.get(protocol, protocol)} the law misses {name} by {ours:.3g} nat, no better than "
                    f"{whose} ({theirs:.3g})"
                )
        if not measured and set(varied) & {*PROTOCOLS, *fit.law.inputs}:
            missing = " or ".join(LEFT_OUT[protocol] for protocol in protocols) or "left-out runs"
            if protocols or not fit.heldout:
                yield f"the error of {name} on {missing} was not measured"


def held_out_sentence(case: Case, varied: Sequence[str]) -> str:
    """That left-out runs are predicted well, with the errors; '' where nothing of it was measured."""
    errors: dict[str, list[str]] = {}
    for role, fit in case.fits.items():
        for protocol in _protocols(fit, varied):
            ours, (theirs, whose) = fit.heldout.get(protocol), best_baseline(fit, protocol)
            if ours is not None and np.isfinite(theirs):
                errors.setdefault(protocol, []).append(
                    f"{case.names[role]} {ours.rmse:.3g} against {theirs:.3g} nat of {whose}"
                )
    return ", ".join(f"{LEFT_OUT.get(key, key)} are predicted well ({', '.join(x)})" for key, x in errors.items())


def best_baseline(fit: Fit, protocol: str) -> tuple[float, str]:
    """Smallest held-out RMSE of the baselines that look at neighbours, and its name; inf where none was measured."""
    words = {"nearest_run": "the nearest run", "quadratic": "a quadratic"}
    found = [(error, words[x]) for x in words if (error := rmse(fit, protocol, x)) is not None]
    return min(found, default=(np.inf, "any baseline"))


def rmse(fit: Fit, protocol: str, baseline: str = "") -> float | None:
    """Held-out RMSE of loss - base loss [nat/token]; None where it was not measured."""
    table = fit.baselines.get(baseline, {}) if baseline else fit.heldout
    found = table.get(protocol)
    return None if found is None else float(found.rmse_delta if np.isfinite(found.rmse_delta) else found.rmse)
