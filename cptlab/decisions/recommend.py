"""Fitted laws + a question -> a recommendation: a choice with its interval, or the reason to measure first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cptlab.decisions.case import resolve
from cptlab.decisions.named import as_question
from cptlab.decisions.question import Question
from cptlab.decisions.recommendation import Recommendation
from cptlab.errors import UserError

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit


def recommend(
    fits: Mapping[str, Fit], question: Question | str, sizes: Mapping[float, str] | None = None, **fields: Any
) -> Recommendation:
    """Answer a question about the corpora of the fits.

    fits: corpus -> its fit (`fit_domains`), all from one table with one seed; two for questions that limit the general
    loss, else one is enough. question: a Question, or its name with its fields:
    `recommend(fits, "tradeoff", max_general_rise=0.03)`. sizes: num_params -> train.py's name of it.
    """
    if not isinstance(fits, Mapping):
        raise UserError("give the fits as {corpus: fit}, as cptlab.fit_domains(law, table) returns them")
    asked = as_question(question, fields)
    return asked.answer(resolve(fits, asked), sizes or {})
