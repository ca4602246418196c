"""Claim: a law is fitted to its best objective 100 times faster than the starts-in-a-loop scripts people use.

chinchilla: the 240 replication rows, against 500 SciPy L-BFGS-B starts with the analytic gradient.
dcpt: 540 rows, 9 parameters, against 500 SciPy least_squares (TRF, Huber) starts with the analytic Jacobian.
Every repetition perturbs the losses by 1e-6 relative, so that nothing is remembered; peers run a share of their
starts (--peer-starts) and their time is scaled to 500. Prints one JSON line a law.
"""

import argparse
import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.optimize import least_squares, minimize

from cptlab.fitting.bootstrap import bootstrap
from cptlab.fitting.objective import DELTA, Problem
from cptlab.fitting.solve import solve
from cptlab.fitting.starts import sample_shapes
from cptlab.laws.chinchilla import Chinchilla
from cptlab.laws.dcpt import DCPT

LAWDATA = Path(os.environ.get("CPTLAB_LAWDATA", "../shared/lawdata"))
STARTS = 500
TRUTH = [1.6, 40, 180, 0.35, 0.26, 0.2, 0.3, 0.08, 0.5]  # E A B C alpha eta beta epsilon gamma


def problem_of(law, columns, loss):
    parameters = law.parameters.values()
    low, high = (np.array([getattr(p, end) for p in parameters], float) for end in ("low", "high"))
    return Problem(law, columns, loss, low, high)


def chinchilla():
    table = pd.read_csv(LAWDATA / "chinchilla_replication.csv")
    names = {name.lower(): name for name in table.columns}
    size = table[next(names[n] for n in names if "param" in n)].to_numpy(float)
    flop = table[next(names[n] for n in names if "flop" in n)].to_numpy(float)
    loss = table[next(names[n] for n in names if "loss" in n)].to_numpy(float)
    keep = np.argsort(loss)[:-5]
    return problem_of(Chinchilla(), {"num_params": size[keep], "tokens": (flop / (6 * size))[keep]}, loss[keep])


def dcpt():
    sizes, shares = (5e8, 1.8e9, 4e9), (0, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 1)
    N, r, D = (x.ravel() for x in np.meshgrid(sizes, shares, np.arange(1, 21) * 1e9, indexing="ij"))
    columns = {"num_params": N, "tokens": D, "share": r}
    law = DCPT()
    exact = law.predict(np.array(TRUTH, float), columns)
    return problem_of(law, columns, exact * np.exp(np.random.default_rng(0).normal(0, 2e-3, len(N))))


def peer_lbfgs(problem, starts):
    """Coefficients and exponents together, bounded, analytic gradient of the exact objective."""
    ones = np.ones(len(problem.loss))

    def value_and_gradient(theta):
        theta = theta[None]
        return float(problem.objective(theta, ones)[0]), problem.normal_equations(theta, ones)[0][0]

    bounds = list(zip(problem.low, problem.high, strict=True))
    ends = [minimize(value_and_gradient, x, jac=True, method="L-BFGS-B", bounds=bounds) for x in starts]
    return min(end.fun for end in ends)


def peer_trf(problem, starts):
    """Huber of log residuals through SciPy's robust least squares."""

    def residual(theta):
        return np.log(problem.law.predict(theta, problem.columns)) - problem.log_loss

    def jacobian(theta):
        predicted, slopes = problem.law.value_and_gradient(theta[None], problem.columns)
        return slopes[0] / predicted[0][:, None]

    best = np.inf
    for x in starts:
        end = least_squares(
            residual, x, jacobian, (problem.low, problem.high), loss="huber", f_scale=DELTA, x_scale=np.abs(x) + 1e-3
        )
        best = min(best, float(problem.objective(end.x[None], np.ones(len(problem.loss)))[0]))
    return best


def starts_for(problem, count, seed):
    """Random shapes in the law's own starting ranges, random coefficients of the size of the loss."""
    rng = np.random.default_rng(seed)
    shapes = sample_shapes(problem, seed, count)[0][:count]
    basis = problem.law.basis(shapes, problem.columns)
    scale = np.abs(basis).mean(axis=1)
    linear = rng.uniform(0.05, 1, scale.shape) * problem.loss.mean() / np.maximum(scale, 1e-30)
    start = np.concatenate([linear, shapes], axis=1)
    return np.clip(start, problem.low + 1e-9, np.where(np.isfinite(problem.high), problem.high - 1e-9, np.inf))


def measure(name, problem, peer, peer_name, repetitions, peer_starts):
    rng = np.random.default_rng(1)
    ours, theirs, gaps, refits = [], [], [], []
    for repetition in range(repetitions):
        loss = problem.loss * np.exp(rng.normal(0, 1e-6, len(problem.loss)))
        again = Problem(problem.law, problem.columns, loss, problem.low, problem.high)
        began = time.perf_counter()
        found = solve(again, np.ones((1, len(loss))), seed=repetition)
        ours.append(time.perf_counter() - began)
        runs = np.array([f"{n:g}" for n in np.arange(len(loss)) // 20])
        began = time.perf_counter()
        bootstrap(again, found.theta[0], runs, 1000, repetition)
        refits.append(time.perf_counter() - began)
        starts = starts_for(again, peer_starts, repetition)
        began = time.perf_counter()
        best = peer(again, starts)
        theirs.append((time.perf_counter() - began) * STARTS / peer_starts)
        gaps.append(float(found.objective[0]) / best - 1)
    print(
        json.dumps({
            "claim": f"{name}: best objective, {STARTS} starts of {peer_name} against one fit",
            "ours": round(float(np.median(ours)), 4), "theirs": round(float(np.median(theirs)), 2),
            "peer": f"scipy {version('scipy')} {peer_name}, {peer_starts} of {STARTS} starts timed", "unit": "s",
            "ratio": round(float(np.median(theirs) / np.median(ours)), 1),
            "objective_gap": max(gaps), "refits_1000": round(float(np.median(refits)), 3),
            "refits_over_fit": round(float(np.median(refits) / np.median(ours)), 1), "rows": len(problem.loss),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread", "versions": {"numpy": version("numpy")},
        })
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-starts", type=int, default=STARTS)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    measure("chinchilla", chinchilla(), peer_lbfgs, "L-BFGS-B", options.repetitions, options.peer_starts)
    measure("dcpt", dcpt(), peer_trf, "least_squares (TRF, Huber)", options.repetitions, options.peer_starts)


if __name__ == "__main__":
    main()
