"""Every law that the columns allow, held against the others and the baselines on the same held-out rows.

All laws are fitted with the same rows left out, whether they read the column that tells those rows apart or not:
that a law without a share misses left-out shares is just what is asked. `ranking` tells how errors are pooled and
which law is chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError, closest
from cptlab.fitting.comparison import Comparison
from cptlab.fitting.fit import Fit, fit
from cptlab.fitting.holdout import judge_baselines, share_columns
from cptlab.fitting.protocols import Plan, bearable, folds_over
from cptlab.fitting.ranking import Ledger, Tried, rank
from cptlab.fitting.table import as_observations, to_observations, with_share
from cptlab.laws import known_laws
from cptlab.laws.auto import Auto
from cptlab.laws.base import Array, Law
from cptlab.laws.dcpt import DCPT
from cptlab.records.observations import Observations


class _Anything(Law):
    """No law: the rows that any law may read, those without a number in these columns left out for all alike."""

    linear, shape, variant_name = {}, {}, "compare"

    def __init__(self, inputs: Iterable[str]) -> None:
        vars(self)["inputs"] = tuple(inputs)


@dataclass(frozen=True)
class _Domain:
    """The rows of one domain and every protocol's folds, masks over them. start: place of its first row."""

    name: str
    rows: Observations
    plan: Plan
    start: int

    def index(self, some: Observations) -> NDArray[np.intp]:
        """Which of the domain's rows a law kept."""
        place = {key: i for i, key in enumerate(_keys(self.rows))}
        return np.array([place[key] for key in _keys(some)], dtype=np.intp)

    def planner(self, law: Law, rows: Observations) -> Plan:
        """The same folds over the rows that a law kept, where they leave enough to identify it."""
        index = self.index(rows)
        return bearable(law, rows, {name: [fold[index] for fold in folds] for name, folds in self.plan.items()})


def compare(
    table: Any, *,
    domain: str | None = None, general: str = "general", laws: Iterable[str | Law] | None = None,
    seed: int = 0, fixed: Mapping[str, float] | None = None,
) -> Comparison:  # fmt: skip
    """Fit every law to a table and compare them on held-out rows; no draws are made.

    table: as of `fit`. domain: whose loss; None pools the held-out errors of all domains, one law for all of them.
    laws: names or Law objects; None is every known law. fixed: parameters to hold at a value in the laws that have
    them. UserError where no law can be fitted and judged: the reasons of each law are in `left_out` otherwise.
    """
    whole = as_observations(table)
    names = [domain] if domain is not None else whole.domains
    if not names:
        raise UserError("the table has no rows to compare laws on.")
    domains: list[_Domain] = []
    for name in names:
        domains.append(_domain(whole, name, general, sum(len(other.rows) for other in domains)))
    candidates = _candidates(laws)
    _check_fixed(fixed or {}, candidates.values())
    left_out: dict[str, str] = {}
    tried: list[Tried] = []
    for name, law in candidates.items():
        found = _try(law, domains, general, seed, fixed or {})
        if isinstance(found, str):
            left_out[name] = found
        else:
            tried.append(found)
    if not tried:
        raise UserError(_none(left_out))
    ledger = _ledger(domains)
    baselines = {name: _spread(held, len(ledger.run)) for name, held in _baselines(domains).items()}
    return rank(ledger, tried, baselines, left_out)


def _domain(whole: Observations, name: str, general: str, start: int) -> _Domain:
    mine = whole.of_domain(name)
    columns = with_share(mine.columns, DCPT(), name, general)
    shares = [x for x in ("share",) if x in columns]
    axes = [x for x in (*shares, "num_params", "tokens") if x in columns and np.isfinite(columns[x]).any()]
    rows = to_observations(whole, _Anything(axes), name, general)
    plan = folds_over(rows, [*share_columns(rows), *(x for x in axes if x != "share")])
    plan = {key: [fold for fold in folds if fold.any() and not fold.all()] for key, folds in plan.items()}
    return _Domain(name, rows, {key: folds for key, folds in plan.items() if folds}, start)


def _keys(rows: Observations) -> list[tuple[str, float, float]]:
    """What tells rows of one domain apart: run, tokens, loss."""
    tokens = rows.columns.get("tokens", np.zeros(len(rows)))
    return list(zip(rows.run.tolist(), tokens.tolist(), rows["loss"].tolist(), strict=True))


def _candidates(laws: Iterable[str | Law] | None) -> dict[str, Law]:
    known = known_laws()
    found: dict[str, Law] = {}
    for law in known if laws is None else laws:
        if not isinstance(law, Law):
            if law not in known:
                raise UserError(f"law {law} is not known.{closest(law, known)}")
            law = known[law]()
        if isinstance(law, Auto):
            raise UserError("law auto is no law to compare; leave `laws` out to compare all.")
        found[law.variant_name] = law
    return found


def _check_fixed(fixed: Mapping[str, float], laws: Iterable[Law]) -> None:
    every = {name for law in laws for name in law.parameter_names} if fixed else set()
    for name in fixed:
        if name not in every:
            raise UserError(f"fixed.{name} is no parameter of any law compared.{closest(name, sorted(every))}")


def _try(law: Law, domains: list[_Domain], general: str, seed: int, fixed: Mapping[str, float]) -> Tried | str:
    """A law fitted to every domain, or the sentence that says why it is left out."""
    fits: list[Fit] = []
    for one in domains:
        where = f"{one.name}: " if len(domains) > 1 else ""
        try:
            mine = law.of_table(one.rows.columns)
            held = {name: value for name, value in fixed.items() if name in mine.parameter_names}
            with np.errstate(all="ignore"):  # a law that breaks down here is told by its predictions, below
                got = fit(
                    mine, one.rows, domain=one.name, general=general, num_draws=0, seed=seed,
                    heldout=one.planner, fixed=held,
                )  # fmt: skip
        except UserError as error:
            return f"{where}{error}"
        except np.linalg.LinAlgError as error:
            return f"{where}the fit failed numerically: {error}."
        if not got.success:
            return f"{where}the fit did not converge: {got.message}"
        if not all(np.isfinite(held.predicted).all() for held in got.heldout.values()):
            return f"{where}the law predicts no finite loss for rows left out."
        if not got.heldout:
            few = f"{got.num_points} rows of {got.num_runs} runs"
            return f"{where}{few} leave too little to identify it with any left out."
        fits.append(got)
    size = sum(len(one.rows) for one in domains)
    predicted: dict[str, Array] = {}
    for one, got in zip(domains, fits, strict=True):
        index = one.start + one.index(got.observations)
        for protocol, held in got.heldout.items():
            predicted.setdefault(protocol, np.full(size, np.nan))[index[held.rows]] = held.predicted
    return Tried(law if len(fits) > 1 else fits[0].law, fits, predicted)


Parts = dict[str, list[tuple[NDArray[np.int_], Array]]]  # protocol -> (places in the ledger, predictions)


def _baselines(domains: list[_Domain]) -> dict[str, Parts]:
    """What each baseline predicts of each domain's held-out rows."""
    found: dict[str, Parts] = {}
    for one in domains:
        for name, by_protocol in judge_baselines(one.rows, one.plan).items():
            for protocol, held in by_protocol.items():
                found.setdefault(name, {}).setdefault(protocol, []).append((one.start + held.rows, held.predicted))
    return found


def _spread(found: Parts, size: int) -> dict[str, Array]:
    """Protocol -> predictions (size,), NaN where a row was not held out."""
    predicted = {protocol: np.full(size, np.nan) for protocol in found}
    for protocol, parts in found.items():
        for place, values in parts:
            predicted[protocol][place] = values
    return predicted


def _ledger(domains: list[_Domain]) -> Ledger:
    nan = [np.full(len(one.rows), np.nan) for one in domains]
    return Ledger(
        names=tuple(one.name for one in domains),
        run=np.concatenate([one.rows.run for one in domains]),
        loss=np.concatenate([one.rows["loss"] for one in domains]),
        base_loss=np.concatenate([one.rows.columns.get("base_loss", x) for one, x in zip(domains, nan, strict=True)]),
    )


def _none(left_out: Mapping[str, str]) -> str:
    near = [name for name, why in left_out.items() if "has no column" not in why and "reads the shares" not in why]
    name = (near or list(left_out))[0]
    return (
        f"none of {len(left_out)} laws can be fitted to this table and judged on rows left out; "
        f"of law={name}: {left_out[name]}"
    )
