"""Profile intervals: how far a parameter can go, all others refitted, before the fit is worse than noise explains.

The interval follows the curve of the exact objective, so it may be lopsided and it stays open along a flat valley,
where a standard error or a handful of draws would close it.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf
from scipy.stats import t as student

from cptlab.errors import UserError
from cptlab.fitting.frame import Frame
from cptlab.fitting.hold_one import HoldOne
from cptlab.fitting.identify import log_jacobian
from cptlab.fitting.objective import Problem
from cptlab.fitting.polish import polish
from cptlab.laws.base import Array

if TYPE_CHECKING:
    from cptlab.fitting.result import Fit

REACH: Array = np.exp2(np.arange(-2, 21))  # distances tried on either side, in half-widths of the linear interval
INSIDE: Array = (np.arange(10) + 1) / 11  # where a bracket is cut again
ROUNDS = 2  # of cutting
SWEEPS = 12  # times at most that a point is started again from a neighbour which has become better
GAIN = 1e-4  # [1] relative gain of the objective that counts as better


def profile_interval(fit: "Fit", name: str, level: float = 0.9) -> tuple[float, float]:
    """Interval of a parameter from its profile likelihood, without draws.

    An end is infinite where the objective stays within the threshold as far as the parameter may go, and lies at
    the parameter's bound where that is what stops it: then the data do not close the interval on that side.

    Assumed: log residuals are normal about the middle, with a scale told by their median size; those of one run
    are equally correlated with each other and not with other runs', so that n rows are worth n / (1 + (m - 1) rho)
    independent ones (m: rows of a run, weighted by rows; rho >= 0: intraclass correlation of the scores); the
    parameter acts like one that is constant along a run, which is too wide for one told by the shape along a run.
    Twice the rise of the objective over E[psi^2] / E[psi'] is then chi-squared with one degree of freedom (robust
    likelihood ratio, Heritier and Ronchetti 1994), here with Student's t squared since the scale was estimated.
    """
    if not 0 < level < 1:
        raise UserError(f"level is {level}; it must lie between 0 and 1.")
    problem = fit.problem
    at = problem.law.parameter_names.index(name)
    if problem.low[at] == problem.high[at]:
        return float(fit.theta[at]), float(fit.theta[at])
    allowed = allowed_rise(problem, fit.theta, fit.observations.run, level)
    profile = _Profile(problem, name, fit.theta)
    half = _linear_half_width(problem, fit.theta, at, allowed)
    return _end(profile, -half, allowed), _end(profile, half, allowed)


def allowed_rise(problem: Problem, theta: Array, run: NDArray[np.str_], level: float) -> float:
    """Rise of the objective that noise explains at this level; theta (p,), run (n,)."""
    residual = np.log(problem.law.predict(theta, problem.columns)) - problem.log_loss
    n, p = len(residual), int((problem.low < problem.high).sum())
    scale = 1.4826 * float(np.median(np.abs(residual))) * np.sqrt(n / max(n - p, 1))
    if not scale > 0:
        return 0.0
    worth = n / design_effect(np.clip(residual, -problem.delta, problem.delta), run)
    quantile = float(student.ppf(0.5 + 0.5 * level, max(worth - p, 1.0)))
    return 0.5 * quantile**2 * _score_ratio(scale, problem.delta) * n / worth


def design_effect(score: Array, run: NDArray[np.str_]) -> float:
    """How many rows (n,) are worth one independent row, at least 1: 1 + (m - 1) rho."""
    _, which, count = np.unique(run, return_inverse=True, return_counts=True)
    pairs = float(np.sum(count * (count - 1.0)))
    square = float(np.mean(score**2))
    if not pairs or not square:
        return 1.0
    rho = (np.sum(np.bincount(which, score) ** 2) - np.sum(score**2)) / pairs / square
    return max(1.0, 1 + float(rho) * (float(np.sum(count**2)) / len(score) - 1))


def _score_ratio(scale: float, delta: float) -> float:
    """E[psi^2] / E[psi'] of a normal residual: scale^2 for a wide delta, delta scale sqrt(pi / 2) for a narrow one."""
    x = delta / scale
    inside = float(erf(x / np.sqrt(2)))
    density = float(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi))
    return scale**2 * (inside - 2 * x * density + x**2 * (1 - inside)) / inside


def _linear_half_width(problem: Problem, theta: Array, at: int, allowed: float) -> float:
    """Half-width if the objective were quadratic; the size of the parameter where it is flat."""
    J = log_jacobian(problem, theta)
    back = Frame.of(problem, centred=False).at(theta[None], np.array([True])).back[0]
    J = J @ np.linalg.inv(back)
    free = (problem.low < problem.high) & (np.linalg.norm(J, axis=0) > 0) & np.isfinite(J).all(axis=0)
    fallback = abs(float(theta[at])) or 1.0
    if not free[at] or not allowed > 0:
        return 0.01 * fallback
    length = np.linalg.norm(J[:, free], axis=0)
    spread = np.linalg.norm(np.linalg.pinv(J[:, free] / length)[int(free[:at].sum())]) / length[int(free[:at].sum())]
    residual = np.log(problem.law.predict(theta, problem.columns)) - problem.log_loss
    curvature = float(np.mean(np.minimum(1, problem.delta / np.maximum(np.abs(residual), 1e-300))))
    half = float(spread * np.sqrt(2 * allowed / max(curvature, 1e-12)))
    return half if np.isfinite(half) and half > 0 else fallback


class _Profile:
    """The objective with one parameter held, all others refitted, at every value asked so far in order."""

    def __init__(self, problem: Problem, name: str, theta: Array) -> None:
        self.problem, self.name = problem, name
        self.law = HoldOne(problem.law, name)
        self.at = problem.law.parameter_names.index(name)
        ones = np.ones(len(problem.loss))
        self.values = theta[self.at : self.at + 1].copy()
        self.theta = self.law.ours(theta)[None]
        self.rises = problem.objective(theta[None], ones)
        self.low, self.high = float(problem.low[self.at]), float(problem.high[self.at])

    def add(self, wanted: NDArray[np.floating]) -> None:
        """Refit at new values (m,): from the next one known, along the valley, then from neighbours."""
        values = np.setdiff1d(np.clip(wanted, self.low, self.high), self.values).astype(np.float64)
        if not len(values):
            return
        centre = int(np.argmin(self.rises))
        right = np.searchsorted(self.values, values)  # the next known value towards the centre
        inward = np.where(values > self.values[centre], right - 1, np.minimum(right, len(self.values) - 1))
        starts = self.theta[[centre]].repeat(len(values), axis=0)
        self._merge(values, self.theta[inward])
        self._merge(values, starts, along=True)
        news = np.isin(self.values, values)
        for _ in range(SWEEPS):
            before = dict(zip(self.values.tolist(), self.rises.tolist(), strict=True))
            known, thetas = self.values, self.theta
            self._merge(known[1:][news[:-1]], thetas[:-1][news[:-1]])
            self._merge(known[:-1][news[1:]], thetas[1:][news[1:]])
            gained = [r < before.get(v, np.inf) * (1 - GAIN) for v, r in zip(self.values, self.rises, strict=True)]
            news = np.array(gained)
            if not news.any():
                return

    def _merge(self, values: Array, starts: Array, along: bool = False) -> None:
        if not len(values):
            return
        held = HoldOne.problem(self.problem, self.name, float(values.min()), float(values.max()))
        frame = Frame.of(held)
        with np.errstate(all="ignore"):
            level = frame.holds_level(starts)
            coordinates = frame.at(starts, level).coordinates
            if along:
                coordinates += (values - starts[:, -1])[:, None] * _valley(frame, starts[:1])
            coordinates[:, -1] = values
            begin = frame.theta(coordinates, level)
            ends = polish(held, np.where(np.isfinite(begin), begin, starts), np.ones(len(held.loss)))
        theta = ends.theta.copy()
        theta[:, -1] = values
        every = np.concatenate([self.values, values])
        rises, thetas = np.concatenate([self.rises, ends.objective]), np.concatenate([self.theta, theta])
        order = np.lexsort((rises, every))
        first = np.concatenate([[True], np.diff(every[order]) > 0])
        kept = order[first & np.isfinite(rises[order])]  # a start that overflows tells nothing of its value
        self.values, self.rises, self.theta = every[kept], rises[kept], thetas[kept]


def _valley(frame: Frame, theta: Array) -> Array:
    """How the other coordinates follow the held one along the valley, (p,), to first order; theta (1, p)."""
    law, columns = frame.problem.law, frame.problem.columns
    level = frame.holds_level(theta)
    place = frame.at(theta, level)
    value, gradient = law.value_and_gradient(theta, columns)
    J = np.matmul(gradient, place.back)[0, :, :-1] / value[0][:, None]
    step = np.zeros_like(place.coordinates)
    step[0, -1] = 1e-6 * (abs(theta[0, -1]) or 1.0)
    moved = law.predict(frame.theta(place.coordinates + step, level), columns)
    slope = np.log(moved[0] / value[0]) / step[0, -1]
    length = np.linalg.norm(J, axis=0)
    free = np.isfinite(length) & (length > 0) & (frame.problem.low < frame.problem.high)[:-1]
    found = np.zeros(len(step[0]))
    if free.any() and np.isfinite(slope).all():
        found[:-1][free] = -np.linalg.lstsq(J[:, free] / length[free], slope)[0] / length[free]
    return found


def _end(profile: _Profile, half: float, allowed: float) -> float:
    """Where the profile crosses the threshold on the side of `half`."""
    centre = float(profile.values[np.argmin(profile.rises)])
    sign = 1.0 if half > 0 else -1.0
    bound = profile.high if half > 0 else profile.low
    profile.add(centre + half * REACH)
    for _ in range(ROUNDS):
        inner, outer = _bracket(profile, centre, sign, allowed)
        if outer is None:
            return bound if np.isfinite(bound) else sign * np.inf
        profile.add(inner + (outer - inner) * INSIDE)
    inner, outer = _bracket(profile, centre, sign, allowed)
    if outer is None:
        return bound if np.isfinite(bound) else sign * np.inf
    least = profile.rises.min()
    ends = [float(np.sqrt(max(profile.rises[profile.values == v][0] - least, 0))) for v in (inner, outer)]
    return float(np.interp(np.sqrt(allowed), ends, [inner, outer]))


def _bracket(profile: _Profile, centre: float, sign: float, allowed: float) -> tuple[float, float | None]:
    """The last value within the threshold and the first beyond it, going outward; None where none is beyond."""
    order = np.argsort(sign * profile.values)
    outward = order[sign * profile.values[order] >= sign * centre]
    beyond = profile.rises[outward] - profile.rises.min() > allowed
    if not beyond.any():
        return float(profile.values[outward[-1]]), None
    first = int(np.argmax(beyond))
    return float(profile.values[outward[max(first - 1, 0)]]), float(profile.values[outward[first]])
