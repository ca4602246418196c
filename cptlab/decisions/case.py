"""Where a question is asked: size, tokens, base losses, and the fitted curves there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cptlab.decisions.anchor import Anchor, anchor_at
from cptlab.decisions.base_loss import base_loss_at, base_losses_by_role
from cptlab.decisions.misfit import misfit
from cptlab.decisions.question import Question
from cptlab.decisions.roles import roles
from cptlab.decisions.sizes import near_size, same_size
from cptlab.decisions.unmeasured_size import level_at
from cptlab.errors import UserError, closest

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit

Array = NDArray[np.float64]
ROLES = {"domain": 0, "general": 1}  # seeds of the misfit's draws
ANCHORED = ("num_params", "tokens", "base_loss")
CELLS = 1_000_000  # predictions made at once


@dataclass(frozen=True)
class Case:
    """A question with everything resolved.

    names: role (`general`, `domain`, of further corpora their name) -> corpus; one fit has the role `domain` alone.
    fits: role -> Fit.
    num_params, tokens: of the model to train; NaN where no fit knows such a column.
    base_loss: role -> loss before the first update [nat/token]; `domain` may be absent.
    guessed: one sentence for each base loss that was not measured at this size.
    """

    names: Mapping[str, str]
    fits: Mapping[str, Fit]
    question: Question
    num_params: float
    tokens: float
    base_loss: Mapping[str, float]
    guessed: list[str]

    @property
    def num_draws(self) -> int:
        """Paired draws of every fit."""
        return min(len(fit.draws) for fit in self.fits.values())

    @property
    def general(self) -> str:
        """Name of the general corpus; '' where there is one fit."""
        return self.names.get("general", "")

    def moved(self, num_params: float, tokens: float) -> Case:
        """The same question at another size and number of tokens."""
        if num_params == self.num_params or np.isnan(num_params):
            return dataclasses.replace(self, tokens=tokens)
        base_loss, guessed = base_losses_by_role(self.names, self.fits, num_params, self.question)
        return dataclasses.replace(self, num_params=num_params, tokens=tokens, base_loss=base_loss, guessed=guessed)

    def base(self, role: str, num_params: Array | None = None) -> Array:
        """Base loss of a role (m,) at sizes (m,); (1,) at the question's size."""
        if num_params is None or role not in self.base_loss:
            return np.array([self.base_loss.get(role, nan)])
        sizes, which = np.unique(num_params, return_inverse=True)
        found = [base_loss_at(self.fits[role], self.names[role], size, self.question)[0] for size in sizes]
        return np.array([nan if value is None else value for value in found])[which]

    def columns(self, role: str, table: Mapping[str, Array]) -> dict[str, Array]:
        """Inputs of the law of one role for candidates (m,); of two corpora, general = 1 - domain."""
        fit = self.fits[role]
        known: dict[str, Any] = {"num_params": self.num_params, "tokens": self.tokens}
        known |= self.question.given | dict(table)
        if own := [name for name in table if name.startswith("share_")]:
            whose = {f"share_{corpus}": role for role, corpus in self.names.items()}
            known |= {f"{whose[name]}_share": table[name] for name in own if whose[name] in ROLES}
            known["share"] = table[f"share_{self.names[role]}"]
        elif "domain_share" in known:
            share = np.asarray(known["domain_share"], float)
            known |= {
                "general_share": 1 - share,
                "share": share if role == "domain" else 1 - share,
                f"share_{self.names['domain']}": share,
            }
            if self.general:
                known[f"share_{self.general}"] = 1 - share
        if role in self.base_loss and "base_loss" in fit.law.inputs:
            known["base_loss"] = self.base(role, table.get("num_params"))
        for name in fit.law.inputs:
            measured = fit.observations[name]
            if name not in known and np.ptp(measured) > 0:
                raise UserError(
                    f"law={fit.law_name} reads {name}, which varies over the runs and which the question does not set; "
                    f'give it as "question.given={{{name}: {measured[-1]:.4g}}}", or fit runs of one value'
                )
            known.setdefault(name, measured[0])
        m = max((np.size(column) for column in table.values()), default=1)
        return {name: np.broadcast_to(np.asarray(known[name], float), (m,)) for name in fit.law.inputs}

    def predict(self, role: str, table: Mapping[str, Array]) -> tuple[Array, Array]:
        """Point fit (m,) and draws (num_draws, m) of the loss of one role [nat/token] for candidates (m,).

        At the question's own size and tokens, where these were measured, both are held to the measured losses
        (`anchor`); a table that sets them itself is predicted by the law alone, so that candidates are compared
        alike. A draw is a refit with an error of the size of what the law leaves over: parameters alone know
        nothing of a law whose form is slightly wrong, and give intervals that are too narrow.
        """
        columns = self.columns(role, table)
        fit = self.fits[role]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            point, draws = np.asarray(fit.predict(columns)), _draws(fit, columns)
        rng = np.random.default_rng(list(self.names).index(role) if role not in ROLES else ROLES[role])
        anchor = self._anchor(role, table)
        if anchor is None:
            normal = rng.standard_normal(len(draws))[:, None]
            level = None if "num_params" in table or self._measured(fit) else level_at(fit, self.num_params)
            if level is None or role not in self.base_loss:
                return point, draws + misfit(fit, self.num_params) * normal
            shift = self.base_loss[role] + level.shift
            error = misfit(fit, self.num_params, within_size=True) * normal
            error = error + level.spread * rng.standard_t(level.freedom, len(draws))[:, None]
            return point + shift[0], draws + shift[1 : len(draws) + 1, None] + error
        share = self._share(role, table)
        kriging = anchor.kriging(fit)
        of_draws = anchor.residual(fit, np.asarray(fit.predict_draws(fit.observations)))
        return point + kriging.mean(share), draws + kriging.draws(share, of_draws, rng)

    def anchored_error(self, role: str, table: Mapping[str, Array]) -> float | None:
        """Error on left-out shares of the law held to its measured losses [nat/token]; None where it is not held."""
        anchor = self._anchor(role, table)
        return None if anchor is None else anchor.kriging(self.fits[role]).left_out()

    def _measured(self, fit: Fit) -> bool:
        """Whether some run of a fit had the question's size."""
        sizes = fit.observations.columns.get("num_params", np.array([self.num_params]))
        return bool(near_size(sizes, self.num_params).any())

    def _share(self, role: str, table: Mapping[str, Array]) -> Array:
        """Share of a role's own corpus, where the table tells it by the domain's share or by the corpus."""
        own = table.get(f"share_{self.names[role]}")
        if own is not None:
            return np.asarray(own, float)
        domain = np.asarray(table["domain_share"], float)
        return domain if role == "domain" else 1 - domain

    def _anchor(self, role: str, table: Mapping[str, Array]) -> Anchor | None:
        """Measured losses at the question's size and tokens, if the table varies one share alone."""
        fit = self.fits[role]
        by_corpus = set(table) == {f"share_{name}" for name in self.names.values()} and len(self.names) == 2
        if not (set(table) == {"domain_share"} or by_corpus) or self.question.given:
            return None
        others = [x for x in fit.law.inputs if x not in ANCHORED and "share" not in x]
        if any(np.ptp(fit.observations[name]) > 0 for name in others):
            return None
        return anchor_at(fit, self.num_params, self.tokens)


def _draws(fit: Fit, columns: Mapping[str, Array]) -> Array:
    """Losses under every draw (num_draws, m), a part of the draws at a time."""
    m = max((len(column) for column in columns.values()), default=1)
    parts = np.array_split(fit.draws, max(1, len(fit.draws) * m // CELLS))
    some = [np.asarray(dataclasses.replace(fit, draws=part).predict_draws(columns)) for part in parts]
    return np.concatenate(some)


def resolve(fits: Mapping[str, Fit], question: Question) -> Case:
    """Fill in what the question leaves open from what was measured."""
    if not fits:
        raise UserError("there is no fit to ask; give the fits as {corpus: fit}")
    if len(fits) == 1 and not question.needs_general:
        domain = next(iter(fits))
        if question.domain not in ("", domain):
            raise UserError(f"question.domain={question.domain} was not fitted.{closest(question.domain, fits)}")
        names = {"domain": domain}
    elif len(fits) == 1:
        raise UserError(
            f"the question limits the loss of a general corpus, and only {next(iter(fits))} was fitted; "
            "give a table with the losses of both corpora"
        )
    else:
        general, domain = roles(fits, question)
        names = {"general": general, "domain": domain}
        if question.every_corpus:
            names |= {name: name for name in fits if name not in (general, domain)}
    by_role = {role: fits[name] for role, name in names.items()}
    question.refuse_unanswerable([fit.law for fit in by_role.values()], [fit.observations for fit in by_role.values()])
    if len({len(fit.draws) for fit in by_role.values()}) > 1:
        raise UserError(
            f"the fits of {' and '.join(names.values())} have different num_draws, so draws cannot be paired"
        )
    rows = by_role["domain"].observations.columns
    num_params = question.num_params or float(rows.get("num_params", np.array([nan])).max())
    tokens = question.tokens or _most_tokens(rows, num_params)
    base_loss, guessed = base_losses_by_role(names, by_role, num_params, question)
    return Case(names, by_role, question, num_params, tokens, base_loss, guessed)


def _most_tokens(rows: Mapping[str, Array], num_params: float) -> float:
    """Most tokens measured at that size; of all sizes where that one was not measured."""
    tokens = rows.get("tokens", np.array([nan]))
    same = same_size(rows.get("num_params", np.full(len(tokens), nan)), num_params)
    return float(tokens[same].max() if same.any() else tokens.max())
