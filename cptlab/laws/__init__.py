"""Laws: pure functions from measured inputs to loss; they know nothing of fitting, files, tables or plots."""

import importlib
import pkgutil


def known_laws() -> dict[str, type]:
    """Name -> class of every law of this package; `auto`, which only asks for one of them, is none."""
    from cptlab.laws.base import Law

    modules = [importlib.import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)]
    classes = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {c.variant_name: c for c in classes if issubclass(c, Law) and vars(c).get("variant_name", "auto") != "auto"}
