"""Base models that a study depends on: made first, once, by a command or by a grid of their own.

bases: {command: make bases, makes: [bases/30k, bases/100k]}       # a command, and the run folders it makes
bases: {grid: bases.yaml, as: "bases/{model.size}"}                # another study file beside this one; each of its
                                                                   # runs appears at `as`, a link named by its values
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError, closest
from cptlab.records.run import FINISHED, RunFolder
from cptlab.sweeps.values import text_of

if TYPE_CHECKING:
    from cptlab.sweeps.study import Study

KEYS = ("command", "makes", "grid", "as")


@dataclass(frozen=True)
class Bases:
    """How bases are made. grid, link: of a grid of their own; command, makes: of a program; paths from here."""

    command: str = ""
    makes: tuple[Path, ...] = ()
    grid: Path | None = None
    link: str = ""

    def missing(self) -> list[Path]:
        """Run folders that are not there or not finished. UserError where one of a grid kept no model."""
        folders = self.folders()
        for folder in folders if self.grid else ():
            done = RunFolder(folder).done() or {}
            if done.get("status") == FINISHED and done.get("weights_sha256") == "":
                raise UserError(
                    f"{folder} kept no model, so nothing can start from it (it was trained with save_model=false);"
                    f" delete {folder.resolve()}, and the same command trains it anew"
                )
        return [folder for folder in folders if not RunFolder(folder).is_finished]

    def folders(self) -> list[Path]:
        """The run folders that the study's points start from."""
        if self.grid is None:
            return list(self.makes)
        return [self._link_of(point) for point in self._grid().points]

    def make(self, train: Callable[[Study], list[tuple[list[str], Path]]]) -> None:
        """Make what is missing. train: trains a study, returns (overrides, run folder) of each point."""
        if self.grid is not None:
            for point, run in train(self._grid()):
                link_to(self._link_of(point), run)
        else:
            try:
                code = subprocess.run(shlex.split(self.command), check=False).returncode
            except (OSError, ValueError) as error:  # no such program; a quotation mark without its pair
                raise UserError(f"bases.command `{self.command}` cannot be run ({error}); mend the study") from error
            if code:
                raise UserError(f"bases.command `{self.command}` ended with code {code}; nothing else was started")
        if missing := self.missing():
            raise UserError(f"{self.how} ended well but {missing[0]} is no finished run; mend bases of the study")

    def changed(self) -> str:
        """A sentence where a finished base was trained by other settings than its grid has now; else ''."""
        if self.grid is None:
            return ""
        for point in self._grid().points:
            try:
                kept = json.loads((self._link_of(point) / "run.json").read_text("utf8"))["overrides"]
            except (OSError, ValueError, KeyError):
                continue  # not trained yet, or no run of ours
            if other := sorted({text.lstrip("+") for text in point} ^ {text.lstrip("+") for text in kept}):
                return (
                    f"{self._link_of(point)} was trained with other settings than {self.grid} has now"
                    f" ({', '.join(other)}) and is used as it is; remove that link, and it is trained anew"
                )
        return ""

    @property
    def how(self) -> str:
        """What makes them."""
        return f"cptlab sweep {self.grid}" if self.grid else self.command

    def _grid(self) -> Study:
        from cptlab.sweeps.study import read_study

        assert self.grid
        if (grid := read_study(self.grid, [])).branches:
            raise UserError(f"{self.grid}: bases are trained whole, since other points start from them; drop branches")
        for point in grid.points:
            kept = [text.lower() for text in point if text.lstrip("+").startswith("save_model=")]
            if kept and kept[-1].endswith("=false"):
                raise UserError(f"{self.grid}: other points start from the models of bases; drop save_model=false")
        return grid

    def _link_of(self, point: list[str]) -> Path:
        values = dict(override.lstrip("+").split("=", 1) for override in point if "=" in override)
        for name in re.findall(r"{([^}]*)}", self.link):
            if name not in values:
                raise UserError(f"bases.as names {{{name}}}, which a point of {self.grid} does not set")
        return Path(re.sub(r"{([^}]*)}", lambda name: text_of(values[name[1]]), self.link))


def link_to(link: Path, run: Path) -> None:
    """Let a run folder appear at `link`. UserError where something else is."""
    link.parent.mkdir(parents=True, exist_ok=True)
    wanted = os.path.relpath(run, link.parent)
    if link.is_symlink() and os.readlink(link) == wanted:
        return
    if link.exists() and not link.is_symlink():
        raise UserError(f"{link} is there and no finished run; move it away, a link to {run} goes there")
    new = link.with_name(f".{link.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(wanted)
    new.replace(link)  # at once: another sweep may start a point from it


def read_bases(content: object, file: Path) -> Bases | None:
    """The `bases` of a study file. UserError for a malformed one."""
    if content is None:
        return None
    if not isinstance(content, dict):
        raise UserError(f"{file}: bases must be a mapping with command and makes, or grid and as")
    for key in content:
        if key not in KEYS:
            raise UserError(f"{file}: bases.{key} is no key of bases.{closest(str(key), KEYS)}")
    if set(content) == {"grid", "as"}:
        grid = file.parent / str(content["grid"])
        if not grid.is_file():
            raise UserError(f"{file}: bases.grid is {content['grid']}, and {grid} does not exist")
        refuse_circle(grid, file)
        return Bases(grid=grid, link=str(content["as"]))
    if set(content) == {"command", "makes"} and isinstance(content["makes"], list) and content["makes"]:
        return Bases(str(content["command"]), tuple(Path(str(each)) for each in content["makes"]))
    raise UserError(f"{file}: bases needs command and a list `makes` of run folders, or grid and as")


def refuse_circle(grid: Path, file: Path) -> None:
    """UserError for a study that is, by whatever way, among its own bases."""
    from cptlab.sweeps.study import load

    seen, here = {file.resolve()}, grid
    while here.resolve() not in seen:
        seen.add(here.resolve())
        bases = load(here).get("bases")
        if not isinstance(bases, dict) or not (here.parent / str(bases.get("grid", ""))).is_file():
            return
        here = here.parent / str(bases["grid"])
    raise UserError(
        f"{file}: bases.grid leads back to {here}, whose bases would then need themselves; name another file"
    )
