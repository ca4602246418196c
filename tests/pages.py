"""Pages with blocks that run: python or console commands, each with the text that it prints.

`python tests/pages.py docs/tutorial.md` writes the printed text anew; a page whose prose quotes figures is then to be
read again.
"""

import contextlib
import io
import re
import runpy
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
from hydra import compose, initialize_config_dir

from cptlab.config import register
from cptlab.launch import CONF, dict_override, typed

task = runpy.run_path(str(Path(__file__).parents[1] / "fit_law.py"))["task"]
BLOCK = re.compile(r"```(\w+)\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")


def blocks(page: str, language: str) -> Iterator[tuple[str, str | None]]:
    """(source, text that follows or None) of the blocks in one language."""
    for kind, source, printed in BLOCK.findall(page):
        if kind == language:
            yield source, printed


def run_python(page: Path) -> list[tuple[str, str]]:
    """Run a page's python blocks in order, in one namespace: (expected, printed) of each."""
    mpl.use("agg")
    names: dict = {"__name__": "__main__"}
    found = []
    for number, (source, expected) in enumerate(blocks(page.read_text("utf8"), "python"), 1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, f"{page.name}, block {number}", "exec"), names)
        found.append((expected or "", printed.getvalue()))
    return found


def run_command(source: str, folder: Path) -> str:
    """What a `python fit_law.py` command prints from its verdict on; its files go to `folder`."""
    arguments = shlex.split(source.replace("\\\n", " "))
    assert arguments[:2] == ["python", "fit_law.py"], source
    overrides = [dict_override(a) for a in arguments[2:] if not a.startswith("out=")] + [f"out={folder}"]
    register("fit_law")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = typed(compose("fit_law", overrides=overrides))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        task(config)
    lines = printed.getvalue().splitlines(keepends=True)
    first = next((i for i, line in enumerate(lines) if line.startswith("verdict")), 0)
    return "".join(lines[first:])


def words(text: str) -> list[str]:
    """What a text says beside its numbers."""
    return NUMBER.sub("#", text).split()


def numbers(text: str) -> list[float]:
    """The numbers of a text."""
    return [float(number) for number in NUMBER.findall(text)]


def rewrite(page: Path) -> None:
    """Put what the blocks print into the text blocks behind them."""
    text = page.read_text("utf8")
    printed = iter(run_python(page))

    def replace(match: re.Match[str]) -> str:
        if match[1] == "python":
            got = next(printed)[1]
        elif match[1] == "bash":
            with tempfile.TemporaryDirectory() as folder:
                got = run_command(match[2], Path(folder))
        else:
            return match[0]
        return f"```{match[1]}\n{match[2]}```" + (f"\n\n```text\n{got}```" if got else "")

    page.write_text(BLOCK.sub(replace, text), encoding="utf8")


if __name__ == "__main__":
    rewrite(Path(sys.argv[1]))
