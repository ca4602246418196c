"""What the data cannot tell: conditioning, parameters at bounds, flat valleys, signs gone wrong."""

from dataclasses import dataclass, field

import numpy as np

from cptlab.fitting.correlations import Correlations, correlate
from cptlab.fitting.frame import Frame
from cptlab.fitting.objective import Problem
from cptlab.laws.base import Array, Law

ILL = 1e3  # condition number of the scaled Jacobian above which a direction counts as a flat valley
LOOSE = 0.5  # [1] relative standard deviation above which one parameter alone counts as unknown
WORDS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Identifiability:
    """condition: of the Jacobian of log loss, columns of length 1, coefficients as amplitudes.

    at_bound: parameters at a bound. sentences: what a reader must know, in words. unknown: parameters that
    the data cannot tell. valley: parameters of the flattest direction, empty where the condition is fair. loose:
    positive parameters whose standard deviation, all others refitted, is above half of their value: a valley of
    one parameter, which a condition number cannot show. correlations: of the free parameters inside their bounds.
    """

    condition: float
    at_bound: list[str]
    sentences: list[str]
    unknown: list[str] = field(default_factory=list)
    valley: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    correlations: Correlations = field(default_factory=Correlations)


def identify(problem: Problem, theta: Array, folded: dict[str, float], counts: dict[str, int]) -> Identifiability:
    """Look at one fit: theta (p,); folded: parameters fixed for want of levels; counts: input -> levels."""
    law = problem.law
    names = np.array(law.parameter_names)
    free = problem.low < problem.high
    near = 1e-6 * np.minimum(problem.high - problem.low, np.abs(theta) + 1)
    at_low, at_high = theta <= problem.low + near, theta >= problem.high - near
    at_bound = free & (at_low | at_high)
    sentences = [s for name, levels in law.levels.items() if (s := _levels_sentence(name, levels, counts[name]))]
    for i in np.flatnonzero(at_bound):
        means = law.at_bound.get(str(names[i]), "") if at_low[i] else ""
        end = f": {means}." if means else "."
        sentences.append(f"{names[i]} lies at its {'lower' if at_low[i] else 'upper'} bound {theta[i]:g}{end}")
    J = log_jacobian(problem, theta)
    condition, direction = _condition(J[:, free & ~at_bound])
    inner = names[free & ~at_bound]
    correlations = correlate([str(n) for n in inner], J[:, free & ~at_bound])
    valley = [str(n) for n in inner[np.abs(direction) > 0.2]] if condition > ILL else []
    if valley:
        sentences.append(
            f"{', '.join(valley)} lie in a flat valley (condition {condition:.1g}): their values are no "
            "facts, the predictions inside the measured range are."
        )
    spread = _relative_deviation(problem, theta, free & ~at_bound & (problem.low >= 0))
    loose = {str(n): s for n, s in zip(names, spread, strict=True) if s > LOOSE and n not in valley}
    if loose:
        factors = ", ".join(f"{n} within a factor of {np.exp(min(1.645 * s, 20)):.2g}" for n, s in loose.items())
        sentences.append(f"The objective hardly moves along a flat valley: {factors} (90 %); the values are no facts.")
    sentences += correlations.sentences(without=[*valley, *loose])
    sentences += _wrong_signs(law, theta, problem.columns)
    few = {p for name, levels in law.levels.items() if counts[name] < levels.wanted for p in levels.confounded}
    unknown = [str(n) for n in names if n in folded or n in few]
    at = [str(n) for n in names[at_bound]]
    return Identifiability(condition, at, sentences, unknown, valley, list(loose), correlations)


def _levels_sentence(name: str, levels, count: int) -> str:
    number = WORDS[count] if count < len(WORDS) else str(count)
    what = f"distinct value{'s' * (count != 1)} of {name}"
    if count == 1:
        return f"{number} {what}: {', '.join(levels.parameters)} cannot be known and stayed fixed."
    if count < levels.wanted:
        return f"{number} {what} leave {', '.join(levels.confounded)} unidentified."
    return ""


def log_jacobian(problem: Problem, theta: Array) -> Array:
    """Derivatives (n, p) of log loss at theta (p,), coefficients as amplitudes: terms at the middle of the inputs."""
    with np.errstate(all="ignore"):
        value, jacobian = problem.law.value_and_gradient(theta[None], problem.columns)
        place = Frame.of(problem, centred=False).at(theta[None], np.array([True]))
        return np.matmul(jacobian, place.back)[0] / value[0][:, None]


def _condition(J: Array) -> tuple[float, Array]:
    """Condition number of J (n, k) with columns of length 1, and its flattest direction (k,)."""
    length = np.linalg.norm(J, axis=0)
    if not J.shape[1]:
        return 1.0, np.zeros(0)
    if not np.isfinite(J).all() or (length == 0).any():
        return float("inf"), (length == 0).astype(float)
    _, s, vt = np.linalg.svd(J / length, full_matrices=False)
    return (float(s[0] / s[-1]) if s[-1] > 0 else float("inf")), vt[-1]


def _relative_deviation(problem: Problem, theta: Array, which: np.ndarray) -> Array:
    """Standard deviation over value of each parameter (p,), all others refitted; 0 outside `which` (p,).

    Gauss-Newton, with the scale of log residuals from their median, rows taken as independent.
    """
    with np.errstate(all="ignore"):
        value, jacobian = problem.law.value_and_gradient(theta[None], problem.columns)
        place = Frame.of(problem, centred=False).at(theta[None], np.array([True]))
        J = np.matmul(jacobian, place.back)[0] / value[0][:, None]
    scale = 1.4826 * np.median(np.abs(np.log(value[0]) - problem.log_loss))
    free = (problem.low < problem.high) & (np.linalg.norm(J, axis=0) > 0)
    result = np.zeros(len(theta))
    if not free.any() or not np.isfinite(J[:, free]).all():
        return result
    length = np.linalg.norm(J[:, free], axis=0)
    inverse = np.linalg.pinv(J[:, free] / length)  # (free, n)
    back = place.back[0][np.ix_(free, free)]
    deviation = scale * np.linalg.norm(back @ (inverse / length[:, None]), axis=1)
    asked = which[free]  # a value of 0 at its bound is not
    result[free & which] = deviation[asked] / np.maximum(np.abs(theta[free & which]), 1e-300)
    return result


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
