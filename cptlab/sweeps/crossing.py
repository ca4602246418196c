"""Axes that cross variants: `lr_schedule: [constant, wsd]` with `lr_schedule.floor: [0, .1]`, which constant lacks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from cptlab.errors import UserError
from cptlab.launch import CONF
from cptlab.variants import HOMES, discover_group


def refuse_crossing(axes: Mapping[str, Any], fixed: Mapping[str, Any], file: Path) -> None:
    """UserError where a field's axis meets a variant, on another axis, that has no such field."""
    for key in [*axes, *fixed]:
        group, _, field = str(key).partition(".")
        if not field or group not in axes or group not in HOMES:
            continue
        owners = {str(name): field.split(".")[0] in known for name in axes[group] if (known := keys_of(group, name))}
        lacking = [name for name, has in owners.items() if not has]
        having = [name for name, has in owners.items() if has]
        if lacking and having:  # where none has it, or a variant is unknown, composing says so
            raise UserError(
                f"{file}: axes cross variants: {key} is no key of {group}={' or '.join(lacking)}; take it from axes and"
                f" list explicit points, e.g. points: [{{{group}: {lacking[0]}}}, {{{group}: {having[0]}, {key}: ...}}]"
            )


def keys_of(group: str, name: object) -> set[str]:
    """Fields of the variant behind conf/<group>/<name>.yaml, {} where there is no such file."""
    try:
        text = (CONF / group / f"{name}.yaml").read_text("utf8")
    except OSError:
        return set()
    schema = re.search(rf"/schema/{group}/(\w+)@_here_", text)
    cls = discover_group(group).get(schema[1] if schema else str(name))
    return {each.name for each in fields(cls) if each.init} if cls else set()
