"""The tutorial: its blocks run in order and print what the page says."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from pages import numbers, run_python, words

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"


def test_the_tutorial_prints_what_it_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    got = run_python(TUTORIAL)
    figures = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    assert len(got) >= 10
    for expected, printed in got:
        assert words(printed) == words(expected)
        np.testing.assert_allclose(numbers(printed), numbers(expected), rtol=0.01, atol=0.002)
    (axes,) = figures[-1].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["general", "code"]


def test_a_changed_figure_or_word_is_seen():
    said = "share 0.268 [0.226, 0.311] of 25 runs"
    assert words(said) == words("share 0.9 [0.1, 0.2] of 3 runs") != words("share 0.268 [0.226, 0.311] of 25 rows")
    assert numbers(said) == [0.268, 0.226, 0.311, 25]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(numbers(said), numbers(said.replace("268", "288")), rtol=0.01, atol=0.002)
