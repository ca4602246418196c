"""Continual pre-training as a measurement: `cptlab.fit(law, table)`, `cptlab.recommend(fits, question)`.

In a notebook:

    df = cptlab.read_csv("runs.csv")                                     # or cptlab.read_runs("runs"), any DataFrame
    fits = cptlab.fit_domains("dcpt", df)
    cptlab.recommend(fits, "tradeoff", max_general_rise=0.03)
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptlab.decisions.compute_optimal import ComputeOptimal as ComputeOptimal
    from cptlab.decisions.critical_ratio import CriticalRatio as CriticalRatio
    from cptlab.decisions.limited_domain_tokens import LimitedDomainTokens as LimitedDomainTokens
    from cptlab.decisions.lr_and_ratio import LRAndRatio as LRAndRatio
    from cptlab.decisions.reach_target import ReachTarget as ReachTarget
    from cptlab.decisions.recommend import recommend as recommend
    from cptlab.decisions.shares import Shares as Shares
    from cptlab.decisions.tradeoff import Tradeoff as Tradeoff
    from cptlab.decisions.what_if import WhatIf as WhatIf
    from cptlab.errors import UserError as UserError
    from cptlab.estimator import LawRegressor as LawRegressor
    from cptlab.fitting.compare import compare as compare
    from cptlab.fitting.domains import fit_domains as fit_domains
    from cptlab.fitting.fit import fit as fit
    from cptlab.laws.named import law as law
    from cptlab.records.frames import read_csv as read_csv
    from cptlab.records.frames import read_runs as read_runs

# Public name -> its module, imported at first use: `import cptlab` costs nothing, and only LawRegressor needs
# scikit-learn, none torch. The question of learning-rate schedules goes by its name, "schedule".
_PUBLIC = {
    "ComputeOptimal": "cptlab.decisions.compute_optimal",
    "CriticalRatio": "cptlab.decisions.critical_ratio",
    "LRAndRatio": "cptlab.decisions.lr_and_ratio",
    "LawRegressor": "cptlab.estimator",
    "LimitedDomainTokens": "cptlab.decisions.limited_domain_tokens",
    "ReachTarget": "cptlab.decisions.reach_target",
    "Shares": "cptlab.decisions.shares",
    "Tradeoff": "cptlab.decisions.tradeoff",
    "UserError": "cptlab.errors",
    "WhatIf": "cptlab.decisions.what_if",
    "compare": "cptlab.fitting.compare",
    "fit": "cptlab.fitting.fit",
    "fit_domains": "cptlab.fitting.domains",
    "law": "cptlab.laws.named",
    "read_csv": "cptlab.records.frames",
    "read_runs": "cptlab.records.frames",
    "recommend": "cptlab.decisions.recommend",
}
__all__ = [
    "ComputeOptimal",
    "CriticalRatio",
    "LRAndRatio",
    "LawRegressor",
    "LimitedDomainTokens",
    "ReachTarget",
    "Shares",
    "Tradeoff",
    "UserError",
    "WhatIf",
    "compare",
    "fit",
    "fit_domains",
    "law",
    "read_csv",
    "read_runs",
    "recommend",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module cptlab has no attribute {name}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
