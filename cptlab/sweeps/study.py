"""A study is one file, `experiments/<study>/grid.yaml`; every driver reads it here.

name: quickstart
law: dcpt                                  # what the runs are for: options of fit_law.py, a name or {key: value}
question: {question: tradeoff, question.max_general_rise: 0.03}
bases: {command: make bases, makes: [experiments/quickstart/bases/100k]}   # run first, once (bases.py)
fixed: {model: tiny}                       # overrides of every point
axes: {model.size: [30k, 100k], mixture.domain_share: [0, 0.5, 1]}   # all combinations, first axis slowest
budgets: [1e6, 4e6]                        # tokens of each combination
branches: true                             # train what budgets share once: cooldowns off a trunk (trunks.py)
seeds: [0, 1]                              # of every combination and every point that names none
points: [{model.size: 100k, seed: 7}]      # further points, each beside `fixed`
exclude: [{model.size: 30k, mixture.domain_share: [0.5, 1]}]   # points that have all of these values
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cptlab.errors import UserError, closest
from cptlab.launch import compose_fit
from cptlab.launch import options as names
from cptlab.sweeps.bases import Bases, read_bases
from cptlab.sweeps.grid import PARTS, expand_grid
from cptlab.sweeps.values import overrides, value_text

KEYS = ("name", "law", "question", "bases", "branches", *PARTS)


@dataclass(frozen=True)
class Study:
    """What a study file says.

    points: overrides of each, in the order of the file; law, question: overrides of fit_law.py.
    """

    name: str
    file: Path
    points: list[list[str]]
    law: tuple[str, ...] = ()
    question: tuple[str, ...] = ()
    bases: Bases | None = None
    branches: bool = False

    def fit_command(self, runs: str) -> str:
        """What answers the question once the points are trained."""
        return shlex.join(["python", "fit_law.py", *self.fit_overrides(runs)])

    def check_fit(self, runs: str) -> None:
        """UserError where that command would be refused, known before hours of training. Reads no rows."""
        if not self.law and not self.question:
            return
        try:
            compose_fit(self.fit_overrides(runs))
        except UserError as error:
            raise UserError(f"{self.file}: {error}") from error

    def fit_overrides(self, runs: str) -> list[str]:
        """What that command says of this study."""
        return ["source=runs", f"source.path={value_text(runs)}", *self.law, *self.question]


def read_study(path: Path, extra: list[str]) -> Study:
    """Read a study folder or its file; `extra` overrides come last in every point. UserError for a malformed one."""
    file = path / "grid.yaml" if path.is_dir() else path
    content = load(file)
    for key in content:
        if key not in KEYS:
            raise UserError(f"{file}: {key} is no key of a study.{closest(str(key), KEYS)}")
    name = content.get("name", file.resolve().parent.name)
    if not isinstance(name, str) or not name:
        raise UserError(f"{file}: name is {name!r}; it must be a word")
    branches = content.get("branches", False)
    if not isinstance(branches, bool):
        raise UserError(f"{file}: branches is {branches!r}; it must be true or false")
    points = expand_grid(content, file, extra)
    refuse_hydra(points, file)
    return Study(
        name, file, points, _options(content, "law", file),
        _options(content, "question", file), read_bases(content.get("bases"), file), branches,
    )  # fmt: skip


def refuse_hydra(points: list[list[str]], file: Path) -> None:
    """UserError for a setting of Hydra, which a study's own driver would leave out of account."""
    for each in dict.fromkeys(override for point in points for override in point):
        if re.match(r"[+~]*hydra[/.@=]", each):
            place = file.parent if file.name == "grid.yaml" else file
            own = [] if "sweeper" in each else [each]
            where = f"hydra.sweeper.file={value_text(str(place))}"
            command = shlex.join(["python", "train.py", "-m", "hydra/sweeper=study", where, *own])
            raise UserError(f"{each} is a setting of Hydra, which trains a study with `{command}`; drop it here")


def load(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    if not file.is_file():
        raise UserError(f"{file} does not exist; give a study folder or its grid.yaml")
    try:
        content = yaml.load(file.read_text("utf8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} must be a mapping with the keys {', '.join(KEYS)}")
    return content


def _options(content: dict[str, Any], group: str, file: Path) -> tuple[str, ...]:
    """`law: dcpt` or `law: {law: dcpt, law.min_irreducible: -10}` as overrides."""
    value = content.get(group)
    if value is None:
        return ()
    options = value if isinstance(value, dict) else {group: value}
    for key in options:
        if key != group and not str(key).startswith(f"{group}."):
            raise UserError(f"{file}: {group} has the key {key}; it takes {group} and {group}.<field> only")
    name = options.get(group)
    if name is not None and name not in names(group):
        raise UserError(f"{file}: {group}={name} does not exist.{closest(str(name), names(group))}")
    return tuple(overrides(options))
