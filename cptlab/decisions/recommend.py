"""Fitted laws + a question -> a recommendation: a choice with its interval, or the reason to measure first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cptlab.decisions.case import resolve
from cptlab.decisions.question import Question
from cptlab.decisions.recommendation import Recommendation

if TYPE_CHECKING:
    from cptlab.fitting.fit import Fit


def recommend(fits: Mapping[str, Fit], question: Question, sizes: Mapping[float, str] | None = None) -> Recommendation:
    """Answer a question about the corpora of the fits.

    fits: corpus -> its fit, all from one table with one seed; two for questions that limit the general loss, else one
    is enough. sizes: num_params -> train.py's name of it.
    """
    return question.answer(resolve(fits, question), sizes or {})
