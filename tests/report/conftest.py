import dataclasses

import pytest
from report_grid import COMMAND, grid

from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.fitting.fit import fit


@pytest.fixture(scope="session")
def study():
    """(observations, fits, recommendation, facts) of the synthetic grid, by the real fit and decision."""
    table = grid()
    fits = {corpus: fit("dcpt", table, domain=corpus, num_draws=40) for corpus in table.domains}
    question = Tradeoff(general="general", domain="code", max_general_rise=0.01)
    answer = dataclasses.replace(recommend(fits, question), command=COMMAND)
    coverage = [
        {"num_params": 3e4, "share": 0.5, "status": "done", "seeds": [0, 1]},
        {"num_params": 3e4, "share": 1, "status": "failed", "seeds": 1},
        {"num_params": 1e5, "share": 1, "status": "missing", "seeds": 1},
    ]
    facts = {
        "title": "How much code?", "coverage": coverage, "left_out": {"diverged": 1},
        "versions": {"cptlab": "0.1"},
        "valid_rule": "Rows after warm-up of constant-LR runs feed the law.", "origin": "runs/",
    }  # fmt: skip
    return table, fits, answer, facts
