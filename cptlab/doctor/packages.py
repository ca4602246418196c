"""Installed packages against what cptlab needs (pyproject.toml) and what it was tested with (constraints.txt)."""

from __future__ import annotations

import platform
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from cptlab.doctor.finding import Finding

ROOT = Path(__file__).parents[2]
# Without these no run starts; the other requirements are named only where they are amiss.
CORE = ("torch", "lightning", "transformers", "tokenizers", "safetensors", "numpy", "hydra-core", "omegaconf")
# Speed, memory or a single command: what is absent is left out of the choice.
OPTIONAL = ("flash-attn", "liger-kernel", "torchao", "bitsandbytes", "peft", "wandb", "lm_eval")


def packages(root: Path = ROOT) -> list[Finding]:
    """Python, then the core, then what is amiss among the rest, then one line of what is optional."""
    python = platform.python_version()
    old = "install Python 3.11 or newer" if sys.version_info < (3, 11) else ""
    findings = [Finding("python", python, stop=old)]
    tested = tested_versions(root)
    for name, needed in sorted(requirements(root).items(), key=lambda item: (item[0] not in CORE, item[0])):
        finding = checked(name, needed, tested.get(normal(name), ""))
        if name in CORE or finding.stop:
            findings.append(finding)
    return [*findings, optional()]


def checked(name: str, needed: str, tested: str) -> Finding:
    """One requirement. needed: a specifier (`>=2.11`); tested: a version, "" if none is known."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    found = installed(name)
    if not found:
        return Finding(name, "not installed", stop=f"pip install '{name}{needed}'")
    if not SpecifierSet(needed).contains(Version(found).public, prereleases=True):
        return Finding(name, found, stop=f"needs {needed}: pip install -U '{name}{needed}'")
    if tested and Version(found).public != Version(tested).public:
        return Finding(name, found, note=f"tested with {tested}")
    return Finding(name, found)


def optional() -> Finding:
    """Which of OPTIONAL are there."""
    there = [f"{name} {installed(name)}" for name in OPTIONAL if installed(name)]
    absent = [name for name in OPTIONAL if not installed(name)]
    return Finding("optional", f"{', '.join(there) or 'none'}{'; absent: ' + ', '.join(absent) if absent else ''}")


def installed(name: str) -> str:
    """Version of an installed package, "" if it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def requirements(root: Path) -> dict[str, str]:
    """Name -> specifier of cptlab's requirements, from its sources or, installed without them, its metadata."""
    from packaging.requirements import Requirement

    file = root / "pyproject.toml"
    if file.is_file():
        listed = tomllib.loads(file.read_text("utf8"))["project"]["dependencies"]
    else:
        listed = [line for line in requires("cptlab") or [] if "extra ==" not in line]
    return {need.name: str(need.specifier) for need in map(Requirement, listed)}


def tested_versions(root: Path) -> dict[str, str]:
    """Normal name -> version of constraints.txt; {} without the sources."""
    file = root / "constraints.txt"
    if not file.is_file():
        return {}
    pinned = re.findall(r"^([\w.-]+)==([^\s;#]+)", file.read_text("utf8"), re.MULTILINE)
    return {normal(name): number for name, number in pinned}


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
