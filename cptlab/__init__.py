"""Continual pre-training as a measurement: `cptlab.fit(law, table)`, `cptlab.recommend(fits, question)`."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cptlab.decisions.recommend import recommend as recommend
    from cptlab.fitting.compare import compare as compare
    from cptlab.fitting.fit import fit as fit

# Public name -> its module, imported at first use: `import cptlab` costs nothing, and neither needs torch.
_PUBLIC = {
    "compare": "cptlab.fitting.compare",
    "fit": "cptlab.fitting.fit",
    "recommend": "cptlab.decisions.recommend",
}
__all__ = ["compare", "fit", "recommend"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module cptlab has no attribute {name}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
