"""Which runs would narrow an answer most, and the command of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.case import Case
from cptlab.decisions.sizes import same_size

Array = NDArray[np.float64]
MEASURED = 0.02  # a share nearer than this to a measured one is measured
APART = 0.05  # shares of the next runs lie at least so far from one another
OVERRIDES = {
    "domain_share": "mixture.domain_share",
    "replay_share": "replay.replay_share",
    "peak_lr": "optimizer.peak_lr",
    "schedule": "lr_schedule",
    "tokens": "tokens",
}  # chosen quantity -> the override of train.py that sets it; sizes have names
MIXTURES = {"mixture.domain_share", "mixture.shares"}  # overrides of which the second hides the first


def next_runs(
    case: Case,
    chosen: Mapping[str, Any],
    intervals: Mapping[str, tuple[float, float]],
    sizes: Mapping[float, str],
    end_points: Sequence[Mapping[str, float]] = (),
) -> list[dict[str, Any]]:
    """Overrides of the runs that would narrow an answer most.

    Where the share alone is chosen: its choice and the ends of its interval, but for what was measured. Else the
    choice, and the choices of the draws at the ends of the widest interval.
    """
    if set(chosen) == {"domain_share"}:
        return _share_runs(case, [float(chosen["domain_share"]), *intervals.get("domain_share", ())], sizes)
    runs = [_overrides(case, point, sizes) for point in (chosen, *({**chosen, **point} for point in end_points))]
    return [run for i, run in enumerate(runs) if run and run not in runs[:i]]


def _overrides(case: Case, point: Mapping[str, Any], sizes: Mapping[float, str]) -> dict[str, Any]:
    """A point as overrides; quantities that train.py does not set by themselves (areas) are left out.

    A chosen size that has no name becomes the nearest named one, if that is near, with tokens of the same compute.
    """
    size, near = point.get("num_params", case.num_params), None
    if "num_params" in point and (near := near_size(size, sizes)) is not None and "tokens" in point:
        point = {**point, "tokens": point["tokens"] * size / near}
    found = overrides_of(point)
    if "tokens" not in found and np.isfinite(case.tokens):
        found["tokens"] = case.tokens
    if not found.keys() & MIXTURES and (share := _one_share(case)) is not None:
        found["mixture.domain_share"] = share
    if name := size_name(near or size, sizes):
        found["model.size"] = name
    elif np.isfinite(size):
        found["num_params"] = _short(size)
    return found


def overrides_of(point: Mapping[str, Any]) -> dict[str, Any]:
    """What train.py sets of a point, by its override; shares of named corpora together as `mixture.shares`."""
    found = {OVERRIDES[name]: _short(value) for name, value in point.items() if name in OVERRIDES}
    if shares := {name.removeprefix("share_"): x for name, x in point.items() if name.startswith("share_")}:
        found["mixture.shares"] = _shares_text(shares)
    return found


def _shares_text(shares: Mapping[str, float]) -> str:
    """`{law: 0.3, prose: 0.7}`, four decimals, the largest share whatever makes the sum 1."""
    parts = {name: round(float(share), 4) for name, share in shares.items()}
    most = max(parts, key=lambda name: parts[name])
    parts[most] = round(1 - sum(share for name, share in parts.items() if name != most), 4)
    return "{" + ", ".join(f"{name}: {share:g}" for name, share in parts.items()) + "}"


def _one_share(case: Case) -> float | None:
    """The domain share of all rows; None where it varies or is not known."""
    share = case.fits["domain"].observations.columns.get("domain_share", np.array([np.nan]))
    return float(share.mean()) if np.ptp(share) < MEASURED else None


def _short(value: Any) -> Any:
    return value if isinstance(value, str) else float(f"{value:.4g}")


def size_name(size: float, sizes: Mapping[float, str]) -> str | None:
    """train.py's name of a size; None where it has none."""
    return next((text for known, text in sizes.items() if same_size(known, size)), None)


def near_size(size: float, sizes: Mapping[float, str]) -> float | None:
    """The named size nearest to this one, at most a factor of two away."""
    nearest = min(sizes, key=lambda known: abs(np.log(known / size)), default=None)
    return nearest if nearest is not None and abs(np.log(nearest / size)) <= np.log(2) else None


def _share_runs(case: Case, wanted: list[float], sizes: Mapping[float, str]) -> list[dict[str, Any]]:
    """Shares at the asked size where it was measured, else at the largest measured."""
    rows = case.fits["domain"].observations.columns
    if "share" not in rows:
        return []
    size, measured = np.nan, np.ones(len(rows["share"]), dtype=bool)
    if "num_params" in rows:
        near = same_size(rows["num_params"], case.num_params)
        size = case.num_params if near.any() else float(rows["num_params"].max())
        measured = same_size(rows["num_params"], size)
    shares = next_shares(wanted, np.unique(rows["share"][measured]))
    fixed: dict[str, Any] = {"tokens": case.tokens} if np.isfinite(case.tokens) else {}
    if (name := size_name(size, sizes)) is not None:
        fixed["model.size"] = name
    elif np.isfinite(size):
        fixed["num_params"] = size
    return [{"mixture.domain_share": share, **fixed} for share in shares]


def next_shares(wanted: Sequence[float], measured: Array, most: int = 3) -> list[float]:
    """Shares to measure next, two decimals, none beside a measured or an earlier one.

    wanted: most useful first (the choice, the ends of its interval); if all of them are measured, the middle
    of the widest gap between measured shares next to the first of them.
    """
    found: list[float] = []
    for share in wanted:
        far = all(abs(share - other) > MEASURED for other in measured)
        if far and all(abs(share - other) > APART for other in found):
            found.append(round(float(share), 2))
    if not found and len(wanted):
        marks = np.unique(np.concatenate([[0.0], measured, [1.0]]))
        middles, widths = (marks[1:] + marks[:-1]) / 2, np.diff(marks)
        beside = np.abs(middles - wanted[0]) <= widths / 2 + MEASURED
        if (open_gap := beside & (widths > 2 * MEASURED)).any():
            found = [round(float(middles[np.argmax(np.where(open_gap, widths, 0))]), 2)]
    return sorted(found[:most])


def train_command(overrides: Sequence[str], changes: Mapping[str, Any]) -> str:
    """The train.py command of a recorded run with some overrides replaced; values quoted for a shell.

    Of an override that stands twice the last one counts, as it did in the run.
    """
    last = {override.lstrip("+~").partition("=")[0]: override for override in overrides}
    kept = [override for name, override in last.items() if name not in changes]
    new = [f"{name}={_text(value)}" for name, value in changes.items()]
    return " ".join(["python train.py", *map(shlex.quote, [*kept, *new])])


def _text(value: Any) -> str:
    """Shortest text that says the number to six digits; integers whole."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6g}"
    return str(value)
