"""A law by its name, as `fit_law.py law=<name> law.<option>=<value>` builds it."""

from dataclasses import fields
from typing import Any

from cptlab.errors import UserError, closest
from cptlab.laws import known_laws
from cptlab.laws.base import Law


def law(name: str, **options: Any) -> Law:
    """The law `name` with its options, `law("dcpt", min_irreducible=-10)`; UserError for an unknown name or option."""
    known = known_laws()
    if name not in known:
        raise UserError(f"law={name} is not known.{closest(name, known)}")
    allowed = [field.name for field in fields(known[name]) if field.init]
    for option in options:
        if option not in allowed:
            near = closest(option, allowed) or f" (law={name} has none)"
            raise UserError(f"law.{option} is no option.{near}")
    return known[name](**options)
