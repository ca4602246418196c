import ast
import inspect

import pytest

from cptlab.data.sources.installed_packages import package_files, package_folder
from cptlab.data.sources.python_text import clean, split_python

SOURCE = '''\
#!/usr/bin/env python
"""Module text."""

import os  # a comment


class Empty(Exception):
    r"""Only a \\d docstring."""


@decorate(
    "# no comment",  # a comment
)
def add(a, b={"x": 1}):
    """Add.

    Two:
        indented
    """
    # a comment

    value = """# not a docstring"""
    return a + b


def one(): "inline"
'''

CODE = '''\
import os

class Empty(Exception):
    pass

@decorate(
    "# no comment",
)
def add(a, b={"x": 1}):

    value = """# not a docstring"""
    return a + b

def one(): pass
'''


def test_a_file_falls_into_its_docstrings_and_its_bare_code():
    docstrings, code = split_python(SOURCE)
    assert docstrings == ["Module text.", "Only a \\d docstring.", "Add.\n\nTwo:\n    indented", "inline"]
    assert code == CODE


def test_a_file_that_no_python_can_parse_is_read_all_the_same():
    docstrings, code = split_python('def f(x:\n    """doc"""\nprint "old style"\n')
    assert docstrings == []
    assert 'print "old style"' in code


def test_cleaning_agrees_with_inspect():
    for text in ["one", " a\n    b\n      c\n\n", "\n\n  x\n y", "a\n\n\tb", ""]:
        ours = [line.rstrip() for line in clean(text).split("\n")]
        assert "\n".join(ours).strip() == "\n".join(x.rstrip() for x in inspect.cleandoc(text).split("\n")).strip()


@pytest.mark.parametrize("package", ["networkx/algorithms/tree", "numpy/polynomial"])
def test_the_lexer_agrees_with_the_grammar_on_real_files(package):
    name, _, below = package.partition("/")
    files = package_files(package_folder(name) / below)
    assert len(files) > 10
    for path in files:
        source = path.read_text(encoding="utf-8")
        tree, wanted = ast.parse(source), []
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node)
                if text is None:
                    continue
                wanted.append((node.body[0].lineno, "".join(text.split())))
                node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
        docstrings, code = split_python(source)
        assert ["".join(d.split()) for d in docstrings] == [text for _, text in sorted(wanted) if text], path
        assert ast.dump(ast.parse(code)) == ast.dump(tree), path
