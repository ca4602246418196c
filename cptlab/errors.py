"""The one exception of a user's mistake: the entry points print its sentence and exit with 2."""

import difflib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """What is wrong, where, what to do: one sentence, shown without a traceback."""


def closest(name: str, known: Iterable[str]) -> str:
    """' Did you mean X?' with the nearest known name, and the others; never empty unless known is.

    A name that begins with what was given is nearer than any other spelling, one that holds it comes last.
    """
    known = sorted(set(known))
    near = [k for k in known if len(name) > 1 and k.startswith(name)][:1]
    near = near or difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    near = near or [k for k in known if len(name) > 2 and name in k][:1]
    others = [k for k in known if k not in near]
    hint = f" Did you mean {near[0]}?" if near else ""
    listed = ", ".join(others[:12])
    return hint + ((f" (others: {listed})" if near else f" Known: {listed}.") if others else "")


def require(package: str, what: str, extra: str) -> None:
    """UserError unless the optional `package` is installed; it is not imported."""
    if importlib.util.find_spec(package) is None:
        raise UserError(f"{what} needs the package {package}, which is not installed; pip install 'cptlab[{extra}]'")


@contextmanager
def one_sentence() -> Iterator[None]:
    """For scripts (a study's answer.py): a user's mistake is its sentence and exit code 2, without a traceback."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def argument(number: int, what: str) -> str:
    """The n-th argument of a script's command line. UserError where it is missing."""
    if len(sys.argv) <= number:
        raise UserError(f"{sys.argv[0]} needs {what} as its argument {number}")
    return sys.argv[number]
