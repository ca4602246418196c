"""`cptlab sweep STUDY --tolerance 0.02`: the grid ends where its answer is narrow enough."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.decisions.choice import Choice
from cptlab.design.asked import NEAR, size_of
from cptlab.design.propose import present
from cptlab.design.stop import check_tolerance, is_enough, sentence
from cptlab.errors import UserError
from cptlab.launch import compose_fit
from cptlab.sweeps.index import runs_folder
from cptlab.sweeps.preflight import compose_points
from cptlab.sweeps.study import Study

SPENT = 2  # a look that took a second is not followed by another for so many


class Enough:
    """Looks at the records of a study whenever it is called, but for a third of the time at most."""

    def __init__(self, study: Study, tolerance: float) -> None:
        """UserError for a tolerance out of range, a study without a question, a size that no point has."""
        check_tolerance(tolerance)
        if not study.question:
            raise UserError(
                f"{study.file} has no question, so nothing says when its points are enough; drop --tolerance"
            )
        self.runs, self.tolerance = runs_folder(study.points[0]), tolerance
        self.config = compose_fit(study.fit_overrides(str(self.runs)))
        question: Any = self.config.question
        if not isinstance(question, Choice):
            raise UserError(f"{study.file}: its question chooses nothing, so no point narrows it; drop --tolerance")
        if None in (question.num_params, question.tokens):
            ask_of_all(study, question)
        self.next_look = 0.0

    def __call__(self) -> str:
        """Why no further point can matter; '' where one can, or where it was asked a moment ago."""
        started = time.monotonic()
        if started < self.next_look or not any(Path(self.runs).glob("*/done.json")):
            return ""
        config = self.config
        draws = min(config.num_draws, 300)
        try:
            now = present(config.source, config.law, config.question, draws, config.seed)
        except UserError:  # not yet: a law or a question says itself what it lacks, and the next points bring it
            return ""
        finally:
            self.next_look = time.monotonic() + SPENT * (time.monotonic() - started)
        return sentence(now, self.tolerance) if is_enough(now, self.tolerance) else ""


def ask_of_all(study: Study, question: Any) -> None:
    """Ask at the study's largest size and most tokens, though smaller and shorter points may be trained before.

    A size or tokens that the question names stay. UserError where no point has the size.
    """
    configs = compose_points(study.points)
    sizes = np.array([size_of(config) for config in configs], float)
    wanted = question.num_params or sizes.max()
    here = np.isclose(sizes, wanted, rtol=NEAR)
    if not here.any():
        near = sizes[np.argmin(np.abs(np.log(sizes / wanted)))]
        raise UserError(
            f"question.num_params is {wanted:,.0f}, which no point of {study.file} has; the closest size is {near:,.0f}"
        )
    question.num_params = wanted
    if question.tokens is None:
        question.tokens = max(config.tokens_total for config, is_here in zip(configs, here, strict=True) if is_here)
