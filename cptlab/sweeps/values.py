"""Values of a study file as overrides of Hydra's grammar."""

from __future__ import annotations

import re
from collections.abc import Mapping


def overrides(point: Mapping[str, object]) -> list[str]:
    """{key: value} -> ['key=value', ...]."""
    return [f"{key}={value_text(value)}" for key, value in point.items()]


def value_text(value: object) -> str:
    """A YAML value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{value_text(entry)}" for key, entry in value.items()) + "}"
    text = str(value)
    plain = not isinstance(value, str) or re.fullmatch(r"[\w./+-]*", text)
    return text if plain else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
