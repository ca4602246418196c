"""Prose and code of one Python file: its docstrings, and the rest without docstrings and comments.

A small lexer in place of `ast`: the same text whatever Python version reads it, files of a newer or
older grammar included, and about five times faster.
"""

import ast
import re
import warnings

# Strings, comments, brackets, line ends: all that is needed to know where a logical line begins.
TOKEN = re.compile(
    r'''"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""|\'\'\'[^'\\]*(?:(?:\\.|'(?!\'\'))[^'\\]*)*\'\'\''''
    r"""|"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"""
    r"""|\#[^\n]*|[(\[{]|[)\]}]|\\\n|\n[ \t\f\n]*""",
    re.DOTALL,
)
DEFINITION = re.compile(r"[ \t\f]*(?:async[ \t]+def|def|class)\b")
BEFORE = re.compile(r"[ \t\f]*([rRuU]?)")  # between the start of the line and a docstring's quote
AFTER = re.compile(r"[ \t]*;?[ \t]*(?=\#|\n|\Z)")


def split_python(source: str) -> tuple[list[str], str]:
    """(docstrings, code). The code keeps at most one blank line in a row, and `pass` where a body is gone."""
    text = source.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    docstrings: list[str] = []
    out: list[str] = []
    depth = 0
    line = copied = 0  # where the logical line begins; up to where the text is copied
    comment = -1  # where a comment of this logical line begins, outside brackets
    expected = True  # a docstring may come: at the file's start, or after the line of a definition
    newlines, indent = 0, ""  # not yet written
    hole: str | None = None  # indent of a docstring that was taken out and not yet followed by a statement

    def write(until: int) -> None:
        nonlocal copied, newlines, hole
        chunk = text[copied:until].rstrip(" \t\f")
        if not chunk:
            return
        if newlines:
            if hole is not None:
                if len(indent.expandtabs()) < len(hole.expandtabs()):
                    out.append("\n" + hole + "pass")
                hole = None
            out.append("\n" * min(newlines, 2) + indent if out else indent)
            newlines = 0
            chunk = chunk.lstrip(" \t\f")
        out.append(chunk)

    for match in TOKEN.finditer(text):
        start, end = match.span()
        first = text[start]
        if first == "\n":
            write(start)
            copied = end
            blanks = match.group()
            newlines += blanks.count("\n")
            indent = blanks[blanks.rfind("\n") + 1 :]
            if depth == 0:
                stop = start if comment < 0 else comment
                if text[line:stop].strip():
                    header = DEFINITION.match(text, line)
                    expected = bool(header) and text[line:stop].rstrip().endswith(":")
                line, comment = end - len(indent), -1
        elif first in "([{":
            depth += 1
        elif first in ")]}":
            depth = max(depth - 1, 0)
        elif first == "#":
            write(start)
            copied = end
            if depth == 0 and comment < 0:
                comment = start
        elif first != "\\" and depth == 0:
            before = BEFORE.match(text, line)
            inline = False
            if not (expected and before and before.end() == start):
                head = text[line:start]
                inline = bool(DEFINITION.match(head)) and head.rstrip("rRuU").rstrip().endswith(":")
                if not inline:
                    continue
            if not AFTER.match(text, end):
                continue
            prefix = text[start - 1] if text[start - 1 : start] in {"r", "R", "u", "U"} else ""
            docstrings.append(clean(value(prefix, match.group())))
            if inline:
                write(start - len(prefix))
                out.append(" pass")
            else:
                hole = indent if indent else None
            copied = AFTER.match(text, end).end()  # type: ignore[union-attr]
            expected = False
            line = copied
    write(len(text))
    if hole is not None:
        out.append("\n" + hole + "pass")
    return [d for d in docstrings if d], "".join(out).strip("\n") + "\n" if out else ""


def value(prefix: str, literal: str) -> str:
    """The text that a string literal stands for; as written where its escapes are not valid."""
    quotes = 3 if literal[:3] in ('"""', "'''") else 1
    body = literal[quotes:-quotes]
    if "\\" not in body or prefix in {"r", "R"}:
        return body
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in someone else's docstring
        try:
            return ast.literal_eval(literal).encode("utf-8", "replace").decode("utf-8")
        except (SyntaxError, ValueError):
            return body


def clean(docstring: str) -> str:
    """`inspect.cleandoc`, which differs between Python versions: common indent and outer blank lines off."""
    lines = docstring.expandtabs().split("\n")
    indents = [len(text) - len(text.lstrip(" ")) for text in lines[1:] if text.strip()]
    margin = min(indents, default=0)
    lines = [lines[0].strip(), *(text[margin:].rstrip() for text in lines[1:])]
    return "\n".join(lines).strip("\n")
