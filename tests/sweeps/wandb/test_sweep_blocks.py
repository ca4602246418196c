import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.sweeps.wandb.blocks import blocks, plain, settings, span

POINTS = st.lists(
    st.fixed_dictionaries({"a": st.sampled_from("123")}, optional={"b.c": st.sampled_from("xy"), "d": st.just("z")}),
    min_size=1, max_size=12, unique_by=lambda point: tuple(sorted(point.items())),
)  # fmt: skip


def points_of(block):
    return [dict(zip(block, values, strict=True)) for values in itertools.product(*block.values())]


@given(POINTS)
def test_blocks_hold_every_point_once_and_no_other(points):
    found = [
        point for block in blocks([[f"{k}={v}" for k, v in p.items()] for p in points]) for point in points_of(block)
    ]
    key = lambda point: sorted(point.items())  # noqa: E731
    assert sorted(found, key=key) == sorted(points, key=key)


def test_a_full_grid_is_one_block_and_a_missing_corner_costs_one_more():
    grid = [[f"n={n}", f"share={s}", "lr=1e-3"] for n in (1, 2, 3) for s in (0.1, 0.5)]
    assert blocks(grid) == [{"n": ("1", "2", "3"), "share": ("0.1", "0.5"), "lr": ("1e-3",)}]
    assert len(blocks(grid[:-1])) == 2


def test_the_last_of_two_values_counts_and_what_has_none_is_refused():
    assert settings(["a=1", "b=x=y", "a=2"]) == {"a": "2", "b": "x=y"}
    with pytest.raises(UserError, match=r"~replay has no value"):
        settings(["a=1", "~replay"])


def test_a_search_spans_points_of_the_same_keys_only():
    assert span([["a=1", "b=x"], ["a=2", "b=x"]]) == {"a": ("1", "2"), "b": ("x",)}
    with pytest.raises(UserError, match=r"but b is not in all"):
        span([["a=1"], ["a=1", "b=2"]])


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-2", -2), ("0.5", 0.5), (".5", 0.5), ("1e6", 1e6), ("007", "007"), ("null", "null"), ("true", "true"),
     ("", ""), ("[1,2]", "[1,2]"), ("100k", "100k")],
)  # fmt: skip
def test_numbers_are_numbers_and_the_rest_stays_text(text, value):
    got = plain(text)
    assert got == value
    assert type(got) is type(value)
