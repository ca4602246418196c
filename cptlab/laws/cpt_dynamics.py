"""Continual pre-training dynamics: loss along a run from a base, by the LR areas of both."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np

from cptlab.errors import UserError, closest
from cptlab.laws.base import Array, Law, Levels, Parameter, spread, stack_terms
from cptlab.variants import variant

REPLAY = ("none", "pretrain", "new")


@variant("law", "cpt_dynamics")
@dataclass(kw_only=True)
class CPTDynamics(Law):
    """L = L0 + A (S1pt + S1)^-alpha - C1 S2pt - C2 S2 + B (1 - (1 + E S1)^-beta)   [nat/token]

    S1, S2: LR area and annealing area of this run (`annealing` says how they are summed), S1pt, S2pt: of its
    base. The first four terms are the curve of a run without a change of data; the last is the distribution
    shift: B > 0 on the corpus of pre-training (forgetting), B < 0 on the new one, one fit each. Rows of the base
    itself have S1 = S2 = 0 and may be given too. As beta -> 0 only B beta is known. Raw LR units, one
    tokens_per_step a fit (Wang et al. 2025, arXiv 2505.07796).

    size: C1 S2pt N^gamma1, C2 S2 N^gamma2 and + F N^-gamma3, with N = num_params in millions; the shift does not
        depend on N.
    replay: the shift and annealing by r, the share of the pre-training distribution in this run (column
        general_share): C2 S2 e^(a1 r), and the shift times 1 - e^(-a2 (1 - r)) on the pre-training corpus
        (`pretrain`), times e^(a2 (1 - r)) - 1 on the new one (`new`).
    open_base: the history of the base is unknown: S1pt is a parameter and the base's LR is taken to have ended
        at 0, so that C1 S2pt is part of L0. One base a fit.
    """

    size: bool = False
    replay: str = "none"
    open_base: bool = False

    inputs: ClassVar = ("base_lr_area", "lr_area", "base_anneal_area", "anneal_area")
    linear: ClassVar = {
        "L0": Parameter(0, 20, "nat/token"),
        "A": Parameter(0, inf, "nat/token"),
        "C1": Parameter(0, inf, "nat/token"),
        "C2": Parameter(0, inf, "nat/token"),
        "B": Parameter(-inf, inf, "nat/token"),
    }
    shape: ClassVar = {
        "alpha": Parameter(0.01, 3),
        "E": Parameter(1e-2, 1e7, start=(1, 1e4)),
        "beta": Parameter(1e-3, 3),
    }
    levels: ClassVar = {
        "lr_area": Levels(("B", "E", "beta"), needed=3, wanted=4, confounded=("B", "E", "beta")),
        "base_anneal_area": Levels(("C1",), wanted=2, confounded=("L0", "C1")),
        "anneal_area": Levels(("C2",), needed=2, wanted=2, confounded=("C2",)),
    }
    one: ClassVar = ("tokens_per_step",)
    at_bound: ClassVar = {"beta": "only the product B beta is known"}

    def __post_init__(self) -> None:
        if self.replay not in REPLAY:
            near = closest(self.replay, REPLAY)
            raise UserError(f"law.replay is {self.replay}; it must be one of {', '.join(REPLAY)}.{near}")
        inputs, linear, shape, levels = list(self.inputs), dict(self.linear), dict(self.shape), dict(self.levels)
        if self.open_base:
            inputs = ["lr_area", "anneal_area"]
            shape["S1pt"] = Parameter(1e-4, 1e6, "LR", start=(0.1, 100))
            del linear["C1"], levels["base_anneal_area"]
        if self.size:
            inputs.append("num_params")
            linear["F"] = Parameter(0, inf, "nat/token")
            grown = ("gamma2",) if self.open_base else ("gamma1", "gamma2")
            shape |= {name: Parameter(-2, 2, start=(-0.5, 0.5)) for name in grown}
            shape["gamma3"] = Parameter(0.01, 2)
            levels["num_params"] = Levels(("F", *grown, "gamma3"), confounded=("L0", "F", "gamma3"))
        if self.replay != "none":
            inputs.append("general_share")
            shape |= {"a1": Parameter(-20, 20, start=(-3, 3)), "a2": Parameter(1e-2, 50, start=(0.1, 10))}
            levels["general_share"] = Levels(("a1", "a2"), confounded=("a1", "B", "a2"))
        vars(self).update(inputs=tuple(inputs), linear=linear, shape=shape, levels=levels)

    def basis(self, shape: Array, columns: Mapping[str, Array]) -> Array:
        """1, (S1pt + S1)^-alpha, -S2pt, -S2, the shift (and N^-gamma3). shape (..., q). Returns (..., n, k)."""
        s = dict(zip(self.shape, spread(shape), strict=True))
        S1, S2 = columns["lr_area"], columns["anneal_area"]
        area = (s["S1pt"] if self.open_base else columns["base_lr_area"]) + S1
        terms = {"L0": np.ones_like(s["alpha"]), "A": np.exp(-s["alpha"] * np.log(area))}
        if not self.open_base:
            terms["C1"] = -columns["base_anneal_area"] + 0 * s["alpha"]
        terms["C2"] = -S2 + 0 * s["alpha"]
        terms["B"] = -np.expm1(-s["beta"] * np.log1p(s["E"] * S1))
        if self.size:
            log_N = np.log(columns["num_params"] / 1e6)
            if not self.open_base:
                terms["C1"] = terms["C1"] * np.exp(s["gamma1"] * log_N)
            terms["C2"] = terms["C2"] * np.exp(s["gamma2"] * log_N)
            terms["F"] = np.exp(-s["gamma3"] * log_N)
        if self.replay != "none":
            r = columns["general_share"]
            sign = -1 if self.replay == "pretrain" else 1
            terms["C2"] = terms["C2"] * np.exp(s["a1"] * r)
            terms["B"] = terms["B"] * sign * np.expm1(sign * s["a2"] * (1 - r))
        return stack_terms(*(terms[name] for name in self.linear))
