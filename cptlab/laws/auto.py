"""`law=auto`: asks for the law that predicts held-out runs best."""

from dataclasses import dataclass
from typing import ClassVar

from cptlab.laws.base import Law
from cptlab.variants import variant


@variant("law", "auto")
@dataclass(kw_only=True)
class Auto(Law):
    """No law but the wish for one: `cptlab.fitting.compare` puts the chosen law in its place before any fit."""

    inputs: ClassVar = ()
    linear: ClassVar = {}
    shape: ClassVar = {}
