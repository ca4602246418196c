"""Which of the laws tried predicts best, and which is chosen.

Errors are pooled over one protocol for each of shares, tokens and sizes: `ratio`, `tokens` and `size_folds`, or where
that cannot be done `ratio_ends`, `token_segments` and `size`. The others are shown. `token_segments` would otherwise
decide alone: laws in powers of tokens miss the first checkpoints by far if those are left out, which nobody asks.
The law with fewest parameters is chosen among those whose pooled mean squared error lies within one
standard error of the least (Breiman et al. 1984, one-standard-error rule), the standard error from sums over whole
runs, since errors along a run and of one run's domains go together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cptlab.fitting.comparison import Compared, Comparison
from cptlab.fitting.fit import Fit
from cptlab.fitting.holdout import HeldOut, judge, r_squared
from cptlab.laws.base import Array, Law
from cptlab.records.observations import Observations

DECIDING = (("ratio", "ratio_ends"), ("tokens", "token_segments"), ("size_folds", "size"))
ENOUGH = 0.5  # [1] share of the widest law's held-out losses that a law must predict to be compared with it
Mask = NDArray[np.bool_]
Predicted = Mapping[str, Array]  # protocol -> (rows of the ledger,), NaN where not held out


@dataclass(frozen=True)
class Ledger:
    """All rows of all domains, one after the other: names of the domains; run, loss, base_loss (NaN), each (N,)."""

    names: tuple[str, ...]
    run: NDArray[np.str_]
    loss: Array
    base_loss: Array

    def held_out(self, predicted: Array, where: Mask) -> HeldOut:
        """The error of predictions (N,) on the rows `where` (N,)."""
        label = np.full(len(self.run), "")
        columns = {"loss": self.loss}
        if np.isfinite(self.base_loss).all():
            columns["base_loss"] = self.base_loss
        rows = Observations(columns, self.run, label, label, label, "held-out rows")
        return judge(rows, [where], [predicted[where]])


@dataclass(frozen=True)
class Tried:
    """A law with its fits, one a domain, and what they predicted for rows left out."""

    law: Law
    fits: list[Fit]
    predicted: Predicted

    @property
    def name(self) -> str:
        """Name of the law."""
        return self.law.variant_name

    @property
    def size(self) -> tuple[int, int]:
        """Free parameters a domain, then declared ones: what makes one law simpler than another."""
        return max(one.num_free for one in self.fits), max(len(one.law.parameters) for one in self.fits)

    @property
    def held(self) -> str:
        """What could not be known from one value of an input, in words."""
        sentences = [
            s for one in self.fits for s in one.identifiability.sentences if s.startswith("one distinct value")
        ]
        return "; ".join(dict.fromkeys(s.rstrip(".") for s in sentences))


def rank(
    ledger: Ledger, tried: Sequence[Tried], baselines: Mapping[str, Predicted], left_out: dict[str, str]
) -> Comparison:
    """Order the laws, choose one, say why. tried: at least one law, each with at least one protocol."""
    deciding, main = _main(tried)
    common = {
        protocol: _known_to_all([one.predicted[protocol] for one in main if protocol in one.predicted])
        for protocol in dict.fromkeys(p for one in main for p in one.predicted)
    }
    common = {protocol: where for protocol, where in common.items() if where.any()}
    judged = {one.name: _Judged.of(ledger, one.predicted, common, deciding, baselines) for one in main}
    order = sorted(main, key=lambda one: judged[one.name].mean)
    best = judged[order[0].name]
    limit = best.mean + np.nan_to_num(clustered(best.squares, best.run))
    chosen = min((one for one in order if judged[one.name].mean <= limit), key=lambda one: one.size)

    rows = [_row(one, judged[one.name], note=one.held) for one in main]
    others = {name: _Judged.of(ledger, predicted, common, deciding) for name, predicted in baselines.items()}
    rows += [_baseline_row(name, found) for name, found in others.items()]
    rows.sort(key=lambda row: row.rmse_delta)
    for one in tried:
        if one not in main:
            own = {protocol: np.isfinite(values) for protocol, values in one.predicted.items()}
            found = _Judged.of(ledger, one.predicted, own, list(own), baselines)
            rows.append(_row(one, found, comparable=False, note=_apart(ledger, one, chosen)))
    why = _why(ledger, order, chosen, judged, deciding, others)
    laws = {one.name: one.law for one in tried}
    return Comparison(tuple(rows), left_out, chosen.name, why, ledger.names, tuple(deciding), laws)


@dataclass(frozen=True)
class _Judged:
    """Errors of one law or baseline on some rows: squares and run (n,) of the deciding protocols, all by protocol."""

    squares: Array
    run: NDArray[np.str_]
    heldout: dict[str, HeldOut]
    baselines: dict[str, dict[str, HeldOut]]

    @classmethod
    def of(
        cls, ledger: Ledger, predicted: Predicted, where: Mapping[str, Mask], deciding: Sequence[str],
        baselines: Mapping[str, Predicted] | None = None,
    ) -> "_Judged":  # fmt: skip
        """where: protocol -> rows (N,) to judge on."""
        squares = [((predicted[p] - ledger.loss)[where[p]]) ** 2 for p in deciding]
        held = {p: ledger.held_out(predicted[p], mask) for p, mask in where.items() if p in predicted}
        others = {
            name: {p: ledger.held_out(guess[p], where[p]) for p in held if p in guess}
            for name, guess in (baselines or {}).items()
        }
        return cls(np.concatenate(squares), np.concatenate([ledger.run[where[p]] for p in deciding]), held, others)

    @property
    def mean(self) -> float:
        """Mean squared error."""
        return float(self.squares.mean())

    @property
    def rmse(self) -> float:
        """Pooled error [nat/token]."""
        return float(np.sqrt(self.mean))

    @property
    def rmse_error(self) -> float:
        """Standard error of `rmse`."""
        return clustered(self.squares, self.run) / (2 * self.rmse) if self.rmse > 0 else 0.0


def clustered(values: Array, run: NDArray[np.str_]) -> float:
    """Standard error of the mean of values (n,) where those of one run (n,) go together; NaN with one run."""
    _, which = np.unique(run, return_inverse=True)
    sums = np.bincount(which, values - values.mean())
    return (
        float(np.sqrt(len(sums) / (len(sums) - 1) * np.sum(sums**2)) / len(values)) if len(sums) > 1 else float("nan")
    )


def _main(tried: Sequence[Tried]) -> tuple[list[str], list[Tried]]:
    """The deciding protocols, one for each axis where half of the laws bear one, and the laws that can be compared.

    These bear every deciding protocol, on at least half as many rows as the widest; the narrowest go until rows
    of each protocol are common to all.
    """
    bear = {p: sum(p in one.predicted for one in tried) for one in tried for p in one.predicted}
    found = [next((p for p in axis if 2 * bear.get(p, 0) >= len(tried)), "") for axis in DECIDING]
    deciding = [protocol for protocol in found if protocol] or [max(bear, key=lambda name: bear[name])]
    while not (able := [one for one in tried if all(p in one.predicted for p in deciding)]):
        deciding.remove(min(deciding, key=lambda name: bear[name]))
    count = {one.name: sum(int(np.isfinite(one.predicted[p]).sum()) for p in deciding) for one in able}
    main = [one for one in able if count[one.name] >= ENOUGH * max(count.values())]
    main.sort(key=lambda one: -count[one.name])
    while len(main) > 1 and not all(_known_to_all([one.predicted[p] for one in main]).any() for p in deciding):
        main.pop()
    return deciding, main


def _known_to_all(predictions: Sequence[Array]) -> Mask:
    return np.all([np.isfinite(values) for values in predictions], axis=0)


def _row(one: Tried, found: _Judged, *, comparable: bool = True, note: str = "") -> Compared:
    loss = np.concatenate([got.observations["loss"] for got in one.fits])
    residuals = np.concatenate([got.residuals for got in one.fits])
    return Compared(
        law_name=one.name, num_free=one.size[0], objective=sum(got.objective for got in one.fits),
        r2=r_squared(loss, residuals), num_points=len(loss), rmse_delta=found.rmse, standard_error=found.rmse_error,
        num_heldout=len(found.squares), heldout=found.heldout, baselines=found.baselines, comparable=comparable,
        note=note,
    )  # fmt: skip


def _baseline_row(name: str, found: _Judged) -> Compared:
    nothing = float("nan")
    return Compared(
        name, None, nothing, nothing, 0, found.rmse, found.rmse_error, len(found.squares), found.heldout,
        is_baseline=True,
    )  # fmt: skip


def _apart(ledger: Ledger, one: Tried, chosen: Tried) -> str:
    """That a law speaks of other rows, with the error of the chosen law there."""
    both = {p: _known_to_all([v, chosen.predicted[p]]) for p, v in one.predicted.items() if p in chosen.predicted}
    both = {p: where for p, where in both.items() if where.any()}
    if not both:
        return f"judged on its own rows, none of which {chosen.name} predicts held out, and so not chosen"
    ours, theirs = (_Judged.of(ledger, x.predicted, both, list(both)) for x in (one, chosen))
    return (
        f"judged on its own rows and so not chosen: on the {len(ours.squares)} that {chosen.name} predicts too, RMSE "
        f"{ours.rmse:.3g} against {theirs.rmse:.3g} nat"
    )


def _why(
    ledger: Ledger, order: Sequence[Tried], chosen: Tried, judged: Mapping[str, _Judged], deciding: Sequence[str],
    others: Mapping[str, _Judged],
) -> str:  # fmt: skip
    mine = judged[chosen.name]
    protocols = " and ".join(p.replace("_", " ") for p in deciding)
    of = f" of {' and '.join(ledger.names)}" if any(ledger.names) else ""
    runs = len(np.unique(mine.run))
    text = (
        f"{chosen.name} ({chosen.size[0]} parameters) predicts {len(mine.squares)} held-out losses{of} ({protocols}; "
        f"{runs} run{'s' * (runs > 1)}) with an RMSE of {mine.rmse:.3g} nat"
    )
    if len(order) == 1:
        text += "; no other law can be compared on these rows"
    elif chosen is order[0]:
        text += f", the runner-up {order[1].name} with {judged[order[1].name].rmse:.3g}: "
        text += _distance(judged[order[1].name], mine)
    else:
        text += (
            f"; {order[0].name} ({order[0].size[0]}) reaches {judged[order[0].name].rmse:.3g}, less than one standard "
            "error better, and the law with fewer parameters is taken"
        )
    name, least = min(others.items(), key=lambda item: item[1].mean)
    if least.mean < mine.mean:
        text += f"; the baseline {name.replace('_', ' ')} predicts better still ({least.rmse:.3g})"
    return text + (f"; {chosen.held}." if chosen.held else ".")


def _distance(worse: _Judged, better: _Judged) -> str:
    """How far two laws lie apart, by the difference of their squared errors run by run."""
    error = clustered(worse.squares - better.squares, better.run)
    if not np.isfinite(error):
        return "one run tells no standard error"
    times = (worse.mean - better.mean) / error if error > 0 else np.inf
    return f"{times:.1f} standard errors apart" + (", which is within noise" if times < 2 else "")
