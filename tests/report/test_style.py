import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.report.png import spread
from cptlab.report.style import colours, count, percent, readable
from cptlab.report.words import number, share_interval, signed


@pytest.mark.parametrize(
    ("n", "text"), [(28_416, "28.4k"), (655_360, "655k"), (3e9, "3B"), (999_950, "1000k"), (512, "512")]
)
def test_counts_are_written_with_three_digits(n, text):
    assert count(n) == text


def test_shares_get_a_decimal_only_where_it_matters():
    assert [percent(x) for x in (0.52, 0.5201, 0.125, 1)] == ["52 %", "52 %", "12.5 %", "100 %"]
    assert share_interval(0.47, 0.56) == "[47, 56]"
    assert share_interval(0.847, 0.853) == "[84.7, 85.3]"


def test_changes_carry_their_sign_and_nothing_is_written_for_nan():
    assert [signed(0.0312), signed(-0.0312), signed(0.0001), number(np.nan)] == [
        "+0.031",
        "−0.031",
        "0.000",
        "–",
    ]


def test_labels_that_collide_are_moved_apart_evenly():
    np.testing.assert_allclose(spread([1.0, 1.0, 5.0], 0.5, 0, 10), [0.75, 1.25, 5.0])


@given(
    y=st.lists(st.floats(0, 10), min_size=1, max_size=12),
    gap=st.floats(0.01, 3),
)
def test_labels_keep_their_order_their_gap_and_their_frame(y, gap):
    placed = spread(y, gap, 0, 10)
    ordered = placed[np.argsort(y, kind="stable")]
    least = min(gap, 10 / max(len(y) - 1, 1))
    assert (np.diff(ordered) >= least - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 10 + 1e-9


def test_every_label_colour_can_be_read_on_white():
    for colour in colours(8):
        rgb = np.array([int(readable(colour)[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) > 4.4
