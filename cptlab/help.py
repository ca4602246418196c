"""`train.py --help`, `fit_law.py --help`: every variant in a line, then every key of those that are chosen."""

from __future__ import annotations

import inspect
import re
import textwrap
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from omegaconf import DictConfig

CONF = Path(__file__).parents[1] / "conf"
WIDTH = 100  # characters of a line, about


def help_text(config_name: str, overrides: list[str]) -> str:
    """What can be chosen, and under `Keys` name, value and meaning of all that these overrides compose."""
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(config_name, overrides)
    groups = [str(name) for name in config if (CONF / str(name)).is_dir()]
    lines = [f"python {config_name}.py [-m] [GROUP=VARIANT] [KEY=VALUE] ...", ""]
    lines += ["-m        a grid: every combination of the values given with commas (KEY=A,B)"]
    lines += ["--cfg job the configuration, without doing anything", "", "Groups and their variants", ""]
    for group in groups:
        files = sorted((CONF / group).glob("*.yaml"))
        lines += [f"{group}=", *(row(f"  {file.stem}", opening(file)) for file in files)]
    lines += ["", f"Keys of {' '.join([config_name + '.py', *overrides])}", ""]
    for name in config:
        lines += keys(config, str(name))
    return "\n".join(lines)


def keys(config: DictConfig, name: str) -> list[str]:
    """Lines of one key, or of those of a group."""
    from omegaconf import OmegaConf

    kind = OmegaConf.get_type(config[name])
    if not (isinstance(kind, type) and is_dataclass(kind)):
        owner = OmegaConf.get_type(config)
        return [row(f"{name}={shown(config, name)}", meanings(owner).get(name, ""))]
    known = meanings(kind)
    entries = config[name]
    return [row(f"{name}.{key}={shown(entries, str(key))}", known.get(str(key), "")) for key in entries]


def shown(config: Any, key: str) -> str:
    """A value as one types it; what refers to another key as it is written."""
    from omegaconf import OmegaConf

    value = OmegaConf.to_container(config, resolve=False)[key]  # type: ignore[index,call-overload]
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) or "''"


def meanings(kind: Any) -> dict[str, str]:
    """{field: the comment beside it, or above it} of a dataclass and those it stems from."""
    found = {}
    for cls in reversed(kind.__mro__):
        if not is_dataclass(cls):
            continue
        named, above = {field.name for field in fields(cls)}, ""
        for line in inspect.getsource(cast(type, cls)).splitlines():
            field = re.match(r"    (\w+): [^#]*(?:# (.*))?$", line)
            if field and field[1] in named:
                found[field[1]] = field[2] or above or found.get(field[1], "")
            comment = re.match(r"    # (.*)", line)
            above = f"{above} {comment[1]}".strip() if comment else ""
    return found


def opening(file: Path) -> str:
    """The comment at the top of a variant's file up to its example, as one line."""
    comment = []
    for line in file.read_text().splitlines():
        words = line.lstrip("# ")
        if not line.startswith("#") or words.startswith(("python ", f"{file.parent.name}=")):
            break
        comment.append(words.strip())
    return " ".join(comment)


def row(name: str, meaning: str) -> str:
    """Two columns; the second falls into lines of its own where it is long."""
    left = 30
    if not meaning:
        return name
    first = name.ljust(left) if len(name) < left else f"{name}\n{' ' * left}"
    return first + f"\n{' ' * left}".join(textwrap.wrap(meaning, WIDTH - left))
