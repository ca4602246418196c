"""A law: loss as a function of measured inputs, linear in some of its parameters, formula in its docstring.

Every law is `L = sum_k c_k b_k(s; x)`: coefficients c (the linear parameters), shapes s and inputs x.
Chinchilla (b = 1, N^-alpha, D^-beta) and D-CPT (one more term, in the share) are special cases. A law
without linear terms has an empty `linear` and overrides `predict` alone.
"""

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
STEP = 1e-30  # [1] imaginary step of complex differentiation: no subtraction, so no cancellation


@dataclass(frozen=True)
class Parameter:
    """Bounds, unit and range of starts of one parameter.

    low, high: bounds of every fit, never crossed. start: finite range of the first guesses of a shape
    parameter, None where the bounds themselves serve.
    """

    low: float = -inf
    high: float = inf
    unit: str = ""
    start: tuple[float, float] | None = None


@dataclass(frozen=True)
class Levels:
    """How many distinct values of an input a law needs.

    parameters: what cannot be known from one value: the coefficients among them are then fixed at 0 and the
    shapes at the middle of their starts. needed: fewer distinct values are refused. wanted: fewer are
    flagged. confounded: what cannot be told apart with fewer values than wanted.
    """

    parameters: tuple[str, ...]
    needed: int = 1
    wanted: int = 3
    confounded: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Law(ABC):
    """Base of all laws. Shapes: n rows, k linear and q shape parameters, p = k + q, any leading batch `...`.

    inputs: columns that the law reads (names of `cptlab.units`). linear, shape: parameters by name. levels:
    input -> how many distinct values it needs. direction: input -> sign of dL/dx where the law is valid.
    valid: input -> open interval outside which the law says nothing: such rows are left out of a fit, and
    counted. one: columns that the law does not read and that must have one value in a fit, else it is
    refused; with `tokens` among them the last row of each run is fitted.
    at_bound: parameter -> what is known, in words, where a fit puts it at its lower bound.
    tied: the inputs of a row belong together (one LR history), so that none means anything beside another
    row's values. A law whose fields choose among forms sets these of its instance, `vars(self).update(...)`.
    """

    inputs: ClassVar[tuple[str, ...]]
    linear: ClassVar[Mapping[str, Parameter]]
    shape: ClassVar[Mapping[str, Parameter]]
    levels: ClassVar[Mapping[str, Levels]] = {}
    direction: ClassVar[Mapping[str, int]] = {}
    valid: ClassVar[Mapping[str, tuple[float, float]]] = {}
    one: ClassVar[tuple[str, ...]] = ()
    tied: ClassVar[bool] = False
    at_bound: ClassVar[Mapping[str, str]] = {}
    variant_name: ClassVar[str]

    def of_table(self, names: Iterable[str]) -> "Law":
        """The law for a table with these columns; only laws whose inputs are a choice differ from self."""
        return self

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters in the order of theta: linear, then shape."""
        return {**self.linear, **self.shape}

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names in the order of theta."""
        return tuple(self.parameters)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bounds (p,), (p,)."""
        every = self.parameters.values()
        return np.array([x.low for x in every], float), np.array([x.high for x in every], float)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """The terms without their coefficients. shape (..., q), columns name -> (n,). Returns (..., n, k)."""
        raise NotImplementedError(f"{type(self).__name__} has no linear terms")

    def predict(self, theta: Array, columns: Mapping[str, Array]) -> Array:
        """Loss [nat/token]. theta (..., p), columns name -> (n,). Returns (..., n)."""
        theta = np.asarray(theta)
        k = len(self.linear)
        return np.matmul(self.basis(theta[..., k:], columns), theta[..., :k, None])[..., 0]

    def slopes(self, theta: Array, basis: Array, columns: Mapping[str, Array]) -> Array:
        """Derivatives by the shape parameters, (..., n, q); `basis` (..., n, k) is given to be reused.

        Complex steps unless a law knows better: dL/ds = Im L(s + ih) / h, exact to rounding.
        """
        k, q = len(self.linear), len(self.shape)
        tilted = np.repeat(theta[..., None, :].astype(complex), q, axis=-2)
        tilted[..., np.arange(q), k + np.arange(q)] += 1j * STEP
        return np.swapaxes(self.predict(tilted, columns).imag / STEP, -1, -2)

    def value_and_gradient(self, theta: Array, columns: Mapping[str, Array]) -> tuple[Array, Array]:
        """Loss (..., n) and its derivatives by all parameters (..., n, p)."""
        k = len(self.linear)
        if not k:
            nothing = np.empty(0)
            return self.predict(theta, columns), self.slopes(theta, nothing, columns)
        basis = self.basis(theta[..., k:], columns)
        value = np.matmul(basis, theta[..., :k, None])[..., 0]
        return value, _side_by_side(basis, self.slopes(theta, basis, columns))


def stack_terms(*terms: Array) -> Array:
    """Terms, each (..., n) or (..., 1), as (..., n, len(terms)), contiguous along the rows."""
    return np.swapaxes(np.stack(np.broadcast_arrays(*terms), axis=-2), -1, -2)


def spread(shape: Array) -> tuple[Array, ...]:
    """Shape parameters (..., q) as q arrays (..., 1) that broadcast against rows."""
    return tuple(np.moveaxis(np.asarray(shape), -1, 0)[..., None])


def _side_by_side(left: Array, right: Array) -> Array:
    """(..., n, k) and (..., n, q) as (..., n, k + q), contiguous along the rows."""
    return np.swapaxes(np.concatenate([left.swapaxes(-1, -2), right.swapaxes(-1, -2)], axis=-2), -1, -2)
