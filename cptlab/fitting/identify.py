"""What the data cannot tell: conditioning, parameters at bounds, flat valleys, signs gone wrong."""

from dataclasses import dataclass, field

import numpy as np

from cptlab.fitting.frame import Frame
from cptlab.fitting.objective import Problem
from cptlab.laws.base import Array, Law

ILL = 1e3  # condition number of the scaled Jacobian above which a direction counts as a flat valley
WORDS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Identifiability:
    """condition: of the Jacobian of log loss, columns of length 1, coefficients as amplitudes.

    at_bound: parameters at a bound. sentences: what a reader must know, in words. unknown: parameters that
    the data cannot tell. valley: parameters of the flattest direction, empty where the condition is fair.
    """

    condition: float
    at_bound: list[str]
    sentences: list[str]
    unknown: list[str] = field(default_factory=list)
    valley: list[str] = field(default_factory=list)


def identify(problem: Problem, theta: Array, folded: dict[str, float], counts: dict[str, int]) -> Identifiability:
    """Look at one fit: theta (p,); folded: parameters fixed for want of levels; counts: input -> levels."""
    law = problem.law
    names = np.array(law.parameter_names)
    free = problem.low < problem.high
    near = 1e-6 * np.where(np.isfinite(problem.high - problem.low), problem.high - problem.low, np.abs(theta) + 1)
    at_low, at_high = theta <= problem.low + near, theta >= problem.high - near
    at_bound = free & (at_low | at_high)
    sentences = [s for name, levels in law.levels.items() if (s := _levels_sentence(name, levels, counts[name]))]
    for i in np.flatnonzero(at_bound):
        sentences.append(f"{names[i]} lies at its {'lower' if at_low[i] else 'upper'} bound {theta[i]:g}.")
    condition, direction = _condition(problem, theta, free & ~at_bound)
    inner = names[free & ~at_bound]
    valley = [str(n) for n in inner[np.abs(direction) > 0.2]] if condition > ILL else []
    if valley:
        sentences.append(
            f"{', '.join(valley)} lie in a flat valley (condition {condition:.1g}): their values are no "
            "facts, the predictions inside the measured range are."
        )
    sentences += _wrong_signs(law, theta, problem.columns)
    few = {p for name, levels in law.levels.items() if counts[name] < levels.wanted for p in levels.confounded}
    unknown = [str(n) for n in names if n in folded or n in few]
    return Identifiability(condition, [str(n) for n in names[at_bound]], sentences, unknown, valley)


def _levels_sentence(name: str, levels, count: int) -> str:
    number = WORDS[count] if count < len(WORDS) else str(count)
    what = f"distinct value{'s' * (count != 1)} of {name}"
    if count == 1:
        return f"{number} {what}: {', '.join(levels.parameters)} cannot be known and were fixed."
    if count < levels.wanted:
        return f"{number} {what} leave {', '.join(levels.confounded)} unidentified."
    return ""


def _condition(problem: Problem, theta: Array, free: np.ndarray) -> tuple[float, Array]:
    with np.errstate(all="ignore"):
        value, jacobian = problem.law.value_and_gradient(theta[None], problem.columns)
        place = Frame.of(problem, centred=False).at(theta[None], np.array([True]))
        J = (np.matmul(jacobian, place.back)[0] / value[0][:, None])[:, free]
    length = np.linalg.norm(J, axis=0)
    if not free.any():
        return 1.0, np.zeros(0)
    if not np.isfinite(J).all() or (length == 0).any():
        return float("inf"), (length == 0).astype(float)
    _, s, vt = np.linalg.svd(J / length, full_matrices=False)
    return (float(s[0] / s[-1]) if s[-1] > 0 else float("inf")), vt[-1]


def _wrong_signs(law: Law, theta: Array, columns) -> list[str]:
    """Where the fitted law moves against its declared direction within the measured range."""
    sentences = []
    for name, sign in law.direction.items():
        low, high = columns[name].min(), columns[name].max()
        if low == high:
            continue
        grid = np.geomspace(low, high, 41) if low > 0 else np.linspace(low, high, 41)
        rows = {x: np.repeat(columns[x], len(grid)) for x in law.inputs}
        rows[name] = np.tile(grid, len(columns[name]))
        curve = law.predict(theta, rows).reshape(-1, len(grid))
        wrong = (np.diff(curve, axis=1) * sign < -1e-9 * curve[:, :1]).any(axis=0)
        if wrong.any():
            at = np.flatnonzero(wrong)
            verb = "rises" if sign < 0 else "falls"
            sentences.append(
                f"the fitted loss {verb} with {name} between {grid[at[0]]:.3g} and {grid[at[-1] + 1]:.3g}, "
                "where the law is not valid."
            )
    return sentences
