"""A question by its name, as `fit_law.py question=<name> question.<field>=<value>` builds it."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from cptlab.decisions.question import Question
from cptlab.errors import UserError, closest
from cptlab.variants import discover_group


def as_question(question: Question | str, given: Mapping[str, Any]) -> Question:
    """The question itself, or the one of that name with the given fields.

    UserError for an unknown name or field, and for fields beside a question that has its own.
    """
    if isinstance(question, Question):
        if given:
            raise UserError(
                f"{', '.join(given)} given beside a {type(question).__name__}; give fields to the question itself, or "
                'name the question: recommend(fits, "tradeoff", max_general_rise=0.03)'
            )
        return question
    known = discover_group("question")
    if not isinstance(question, str) or question not in known:
        raise UserError(f"question={question} is not known.{closest(str(question), known)}")
    allowed = [field.name for field in fields(known[question]) if field.init]
    for name in given:
        if name not in allowed:
            raise UserError(f"question.{name} is no field of question={question}.{closest(name, allowed)}")
    return known[question](**given)
