"""The text that every installation already has: docstrings as prose, Python code as a domain.

Files of the installed packages are read, never imported. Whatever the platform writes when a package is
built (version and config files) is left out, so that equal package versions give equal corpora.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cptlab.data.sources.base import DataSource, Document, Documents, check_names, unit_hash
from cptlab.data.sources.python_text import split_python
from cptlab.errors import UserError, closest
from cptlab.variants import variant

RULES = "1"  # raise it when the text that this module makes of a file changes
GENERATED = {"version.py", "_version.py", "__config__.py", "_distributor_init.py"}
MIN_BYTES = 200  # a shorter document is left out
PACKAGES = ("numpy", "scipy", "pandas", "sympy", "networkx", "torch", "transformers")


@variant("data")
@dataclass(kw_only=True)
class InstalledPackages(DataSource):
    """Corpora `general` (docstrings, English prose) and `code` (Python without docstrings and comments).

    One document = one source file; a file is on one side of the split for both corpora.
    """

    general: str = "general"
    packages: list[str] = field(default_factory=lambda: list(PACKAGES))  # import names
    max_code_mb: float = 24.0  # [MB] about so much code is kept, files chosen by hash; above 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(["general", "code"], self.general)
        if self.max_code_mb <= 0:
            raise UserError(f"data.max_code_mb is {self.max_code_mb}; it must be above 0.")
        if not self.packages:
            raise UserError("data.packages is empty; name at least one installed package.")
        if len(set(self.packages)) < len(self.packages):
            raise UserError(f"data.packages names one twice: {', '.join(self.packages)}.")

    def documents(self) -> Documents:
        """Both corpora come of one pass over the files, kept as long as this dict is."""
        pairs: list[tuple[str, str, str]] = []

        def corpus(which: int) -> Callable[[], Iterator[Document]]:
            def read() -> Iterator[Document]:
                if not pairs:
                    pairs.extend(read_packages(self.packages))
                seen: set[bytes] = set()
                share = 1.0
                if which == 2:
                    share = self.max_code_mb * 1e6 / max(sum(len(pair[2]) for pair in pairs), 1)
                for pair in pairs:
                    path, text = pair[0], pair[which]
                    data = text.encode()
                    digest = hashlib.sha256(data).digest()
                    if len(data) < MIN_BYTES or digest in seen:
                        continue
                    seen.add(digest)
                    if share >= 1 or unit_hash(path, "code") < share:
                        yield Document(path, text)

            return read

        return {"general": corpus(1), "code": corpus(2)}

    def fingerprint(self) -> str:
        """Package versions, the fields that choose text, and the version of the rules."""
        parts = [RULES, repr(float(self.max_code_mb))]
        parts += [f"{name}=={package_version(name)}" for name in sorted(self.packages)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_packages(packages: list[str]) -> Iterator[tuple[str, str, str]]:
    """(relative path, prose, code) of every Python file, packages and files in sorted order."""
    for name in sorted(packages):
        root = package_folder(name)
        for path in package_files(root):
            try:
                source = path.read_bytes().decode("utf-8")
            except UnicodeDecodeError:
                continue
            docstrings, code = split_python(source)
            yield path.relative_to(root.parent).as_posix(), "\n\n".join(docstrings), code


def package_files(root: Path) -> list[Path]:
    """The Python files that are the package's own text, sorted by their path."""
    found = [path for path in root.rglob("*.py") if path.name not in GENERATED]
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def package_folder(name: str) -> Path:
    """Where a package lies; found without importing it."""
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        installed = (d.metadata["Name"] or "" for d in importlib.metadata.distributions())
        hint = closest(name, {n for n in (*PACKAGES, *installed) if n.isidentifier()})
        raise UserError(f"data.packages: {name} is no installed Python package.{hint}")
    return Path(next(iter(spec.submodule_search_locations)))


def package_version(name: str) -> str:
    """Version without its local part (2.13.0+cpu -> 2.13.0), else a hash of the package's files."""
    root = package_folder(name)
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        digest = hashlib.sha256()
        for path in package_files(root):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()
