from dataclasses import dataclass, field

import pytest
from planted_stories import story_of, table

from cptlab.report.comparison import comparison
from cptlab.report.figures import figures
from cptlab.report.page import render

ROWS = [
    {"law": "dcpt", "num_parameters": 9, "objective": 0.001234567, "r2": 0.9934, "rmse_delta": {"ratio": 0.012, "size": 0.03},
     "is_baseline": False, "chosen": True},
    {"law": "<b>", "num_parameters": 2, "objective": 0.1, "r2": 0.5, "rmse_delta": {"ratio": 0.05},
     "is_baseline": False, "chosen": False},
    {"law": "nearest_run", "num_parameters": 0, "objective": None, "r2": float("nan"),
     "rmse_delta": {"ratio": 0.02, "size": 0.01}, "is_baseline": True, "chosen": False},
]  # fmt: skip


@dataclass
class Compared:
    left_out: dict[str, str] = field(default_factory=lambda: {"cmr": "it reads one size, the table has 3"})
    why: str = "dcpt has the lowest held-out error."

    def table(self):
        return ROWS


@pytest.fixture
def story():
    rows = table({"loss": [2.0, 2.1], "tokens": [1e6, 2e6]}, ["a", "b"], ["law", "law"])
    return story_of(rows, comparison=Compared(), question={"domain": "law"})


def test_protocols_become_columns_in_thousandths_and_the_best_of_each_is_marked(story):
    (block,) = comparison(story)
    assert block["heads"] == [
        "law", "free parameters", "objective", "R²", "one interior share left out in turn [mnat/token]",
        "the largest size left out (extrapolation) [mnat/token]",
    ]  # fmt: skip
    first, second, baseline = (row["cells"] for row in block["rows"])
    assert first == [
        ("dcpt", False),
        ("9", False),
        ("0.001235", False),
        ("0.9934", False),
        ("12.0", True),
        ("30.0", False),
    ]
    assert second[5] == ("–", False)
    assert baseline[2:] == [("–", False), ("–", False), ("20.0", False), ("10.0", True)]
    assert [row["chosen"] for row in block["rows"]] == [True, False, False]


def test_flat_rows_give_the_same_columns():
    flat = [{"law": "dcpt", "ratio": 0.012, "rmse_delta_size": 0.03}]

    class Flat(Compared):
        def table(self):
            return flat

    rows = table({"loss": [2.0]}, ["a"], ["law"])
    (block,) = comparison(story_of(rows, comparison={"law": Flat()}))
    assert block["corpus"] == "law"
    assert [text for text, _ in block["rows"][0]["cells"]] == ["dcpt", "12.0", "30.0"]
    assert block["heads"][2] == "the largest size left out (extrapolation) [mnat/token]"


def test_the_page_says_what_was_compared_what_was_not_and_why(story):
    page = render(story, figures(story))
    for words in (
        "Laws compared", "dcpt has the lowest held-out error.", "cmr was not compared: it reads one size", "&lt;b&gt;",
        'dcpt <span class="tag">chosen</span>', 'nearest_run <span class="note">baseline</span>', "<b>10.0</b>",
    ):  # fmt: skip
        assert words in page
    assert "Laws compared" not in render(story_of(story.observations, question={"domain": "law"}), {})
