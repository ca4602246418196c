"""A law with one parameter out of the solver's reach, each member of a batch at a value of its own."""

from collections.abc import Mapping

import numpy as np

from cptlab.fitting.objective import Problem
from cptlab.laws.base import Array, Law


class HoldOne(Law):
    """The law itself, its parameter `name` moved to the end of theta, with no derivative by it.

    So a solver leaves it where it starts, and a batch may hold it at many values at once. Fixing a parameter by
    its bounds is the special case of one value for all members.
    """

    def __init__(self, law: Law, name: str) -> None:
        names = law.parameter_names
        self._law, self._k, self._at = law, len(law.linear), names.index(name)
        self._from = [i for i in range(len(names)) if i != self._at] + [self._at]  # ours -> the law's
        self._to = np.argsort(self._from)
        vars(self).update(
            inputs=law.inputs, tied=law.tied, variant_name=law.variant_name,
            linear={key: value for key, value in law.linear.items() if key != name},
            shape={key: value for key, value in law.shape.items() if key != name} | {name: law.parameters[name]},
        )  # fmt: skip

    @classmethod
    def problem(cls, problem: Problem, name: str, low: float, high: float) -> Problem:
        """The problem of this law with the parameter held anywhere in [low, high]."""
        law = cls(problem.law, name)
        lows, highs = problem.low[law._from], problem.high[law._from]
        lows[-1], highs[-1] = low, high
        return Problem(law, problem.columns, problem.loss, lows, highs, problem.delta)

    def theirs(self, theta: Array) -> Array:
        """Parameters (..., p) in the order of the law held."""
        return np.asarray(theta)[..., self._to]

    def ours(self, theta: Array) -> Array:
        """Parameters (..., p) of the law held, in this order."""
        return np.asarray(theta)[..., self._from]

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """The terms whose coefficients are not held; shape (..., q) with the held parameter last."""
        shape = np.asarray(shape)
        if self._at < self._k:
            return np.delete(self._law.basis(shape[..., :-1], columns), self._at, axis=-1)
        position = self._at - self._k
        inner = np.concatenate([shape[..., :position], shape[..., -1:], shape[..., position:-1]], axis=-1)
        return self._law.basis(inner, columns)

    def predict(self, theta: Array, columns: Mapping[str, Array]) -> Array:
        """Loss [nat/token], the held coefficient's term included."""
        return self._law.predict(self.theirs(theta), columns)

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """Of the terms in `basis`: by the free shapes, then 0 for the held parameter."""
        inner = self.theirs(theta)
        if self._at < self._k:
            inner[..., self._at] = 0
        whole = self._law.basis(inner[..., self._k :], columns) if self._k else basis
        found = self._law.slopes(inner, whole, columns)
        if self._at >= self._k:
            found = np.delete(found, self._at - self._k, axis=-1)
        return np.concatenate([found, np.zeros((*found.shape[:-1], 1))], axis=-1)

    def value_and_gradient(self, theta: Array, columns: Mapping[str, Array]) -> tuple[Array, Array]:
        """Loss (..., n) and its derivatives (..., n, p), 0 for the held parameter."""
        value, gradient = self._law.value_and_gradient(self.theirs(theta), columns)
        gradient = gradient[..., self._from]
        gradient[..., -1] = 0
        return value, gradient
