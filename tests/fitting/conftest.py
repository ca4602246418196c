"""Problems and tables of the public loss data."""

from pathlib import Path

import pandas as pd
import pytest

from cptlab.fitting.objective import Problem
from cptlab.laws.chinchilla import Chinchilla


@pytest.fixture(scope="session")
def chinchilla_problem(lawdata: Path) -> Problem:
    """The 240 rows of the replication: the five largest losses dropped, D = FLOP / 6N."""
    rows = pd.read_csv(lawdata / "chinchilla_replication.csv").sort_values("loss").iloc[:-5]
    N = rows["num_params"].to_numpy()
    columns = {"num_params": N, "tokens": rows["training_flop"].to_numpy() / (6 * N)}
    return Problem(Chinchilla(), columns, rows["loss"].to_numpy(), *Chinchilla().bounds)


@pytest.fixture(scope="session")
def python_70m(lawdata: Path) -> dict[str, pd.DataFrame]:
    """Pythia-70M continued on Pile and python: {domain: table}; one step counts as 1e6 tokens."""
    raw = pd.read_csv(lawdata / "cpt_pile_python_70m.csv")
    common = {"tokens": raw["step"] * 1e6, "num_params": 7e7, "run": raw["r_gen"].astype(str)}
    return {
        "python": pd.DataFrame({**common, "share": 1 - raw["r_gen"], "loss": raw["python"]}),
        "pile": pd.DataFrame({**common, "share": raw["r_gen"], "loss": raw["pile"], "base_loss": 2.87337}),
    }
