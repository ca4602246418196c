"""Values of a study file as overrides of Hydra's grammar, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cptlab.errors import UserError

QUOTES = ("'", '"')


def overrides(point: Mapping[str, object]) -> list[str]:
    """{key: value} -> ['key=value', ...]."""
    return [f"{key}={value_text(value)}" for key, value in point.items()]


def value_text(value: object) -> str:
    """A YAML value in Hydra's override grammar, which takes the letters of ASCII alone without quotes.

    UserError for a name in a mapping that this grammar cannot hold.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_entry, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{_name(key)}:{_entry(entry)}" for key, entry in value.items()) + "}"
    text = str(value)
    plain = not isinstance(value, str) or re.fullmatch(r"[\w./+-]*", text, re.ASCII)
    return text if plain else _quoted(text)


def text_of(value: str) -> str:
    """The text that Hydra reads in a value, with or without quotes; the inverse of `value_text` of a text."""
    value = value.strip()
    if len(value) > 1 and value[0] in QUOTES and value[-1] == value[0]:
        return re.sub(rf"(\\+)({value[0]}|\Z)", lambda found: found[1][1::2] + found[2], value[1:-1])
    return re.sub(r"\\([\\()\[\]{}:=, \t])", r"\1", value)


def _entry(value: object) -> str:
    return value_text(value) or "''"  # nothing at all is no entry of a list


def _name(key: object) -> str:
    if not re.fullmatch(r"[\w $%*+./?@|-]+", str(key), re.ASCII):  # it takes no quotes around names
        raise UserError(f"{str(key)!r} cannot be a name in a mapping of a study; use a to z, A to Z, digits and _")
    return str(key)


def _quoted(text: str) -> str:
    """Backslashes count in Hydra's quotes where a quote, or the end, follows them."""
    return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", "\\'"), text) + "'"
