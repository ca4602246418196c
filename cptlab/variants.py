"""The registry of variants: `@variant("law")` on a class, `discover()` imports them all.

A group is a Hydra config group and a package of one file a variant. A plain dict, no Hydra.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from typing import TypeVar

# Config group -> package of one file a variant, or the one module that holds them all.
# None of these modules imports torch at the top: `--help` and preflight must answer at once.
HOMES = {
    "model": "cptlab.models",
    "data": "cptlab.data.sources",
    "selection": "cptlab.selection",
    "mixture": "cptlab.mixtures",
    "replay": "cptlab.replay",
    "lr_schedule": "cptlab.schedules",
    "objective": "cptlab.training.objective",
    "optimizer": "cptlab.optimizers",
    "adapter": "cptlab.adapters",
    "regularizer": "cptlab.regularizers",
    "sparsity": "cptlab.sparsity",
    "vocab": "cptlab.vocabulary",
    "machine": "cptlab.training.machine",
    "tracking": "cptlab.training.tracking",
    "law": "cptlab.laws",
    "source": "cptlab.records",
    "question": "cptlab.decisions",
}

_VARIANTS: dict[str, dict[str, type]] = {group: {} for group in HOMES}
T = TypeVar("T", bound=type)


def variant(group: str, name: str | None = None) -> Callable[[T], T]:
    """Register a class as a variant of `group`; its name is the class name in snake_case unless given."""

    def register(cls: T) -> T:
        key = name or snake_case(cls.__name__)
        known = _VARIANTS[group].setdefault(key, cls)
        if known is not cls and known.__module__ != cls.__module__:
            raise ValueError(f"{group}={key} is defined twice: {known.__module__} and {cls.__module__}")
        if "group" in getattr(cls, "__annotations__", {}):
            raise ValueError(f"{group}={key} has a field `group`, which hides the group that every variant names")
        cls.group, cls.variant_name = group, key  # type: ignore[attr-defined]
        return cls

    return register


def discover_group(group: str) -> dict[str, type]:
    """Import the home of one group and return its {name: class}."""
    module = importlib.import_module(HOMES[group])
    for entry in pkgutil.iter_modules(getattr(module, "__path__", [])):
        importlib.import_module(f"{module.__name__}.{entry.name}")
    return _VARIANTS[group]


def discover() -> dict[str, dict[str, type]]:
    """{group: {name: class}} of every group."""
    return {group: discover_group(group) for group in HOMES}


def snake_case(name: str) -> str:
    """CamelCase -> snake_case; an acronym stays one word: `WSD` -> wsd, `DCPT` -> dcpt."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
