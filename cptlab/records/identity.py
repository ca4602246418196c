"""run_id: the same 12 hex digits for the same numbers, on any host and from any driver."""

import hashlib
import json
from collections.abc import Mapping


def canonical_json(value: object) -> str:
    """Sorted keys, no spaces, whole floats as integers: 1e6 and 1000000 are one value."""
    return json.dumps(_canonical(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def run_id(determining: Mapping) -> str:
    """First 12 hex digits of SHA-256 over what determines the numbers of a run."""
    return hashlib.sha256(canonical_json(determining).encode()).hexdigest()[:12]


def _canonical(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _canonical(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
