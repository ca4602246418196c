import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.data import packing
from cptlab.data.packing import IGNORE, pack, positions

EOS = 0


def test_positions_start_again_after_each_document_end():
    inputs = np.array([[5, 6, EOS, 7, 8, EOS, EOS, 9]])
    np.testing.assert_array_equal(positions(inputs == EOS), [[0, 1, 2, 0, 1, 2, 0, 0]])


def test_no_label_crosses_a_document_boundary():
    rows = np.array([[5, 6, EOS, 7, 8]])
    batch = pack(rows, EOS, np.zeros(1, int), np.zeros(1, bool))
    np.testing.assert_array_equal(batch.input_ids, [[5, 6, EOS, 7]])
    np.testing.assert_array_equal(batch.labels, [[6, EOS, IGNORE, 8]])
    np.testing.assert_array_equal(batch.position_ids, [[0, 1, 2, 0]])


@pytest.mark.parametrize("few", [0, 96])
@given(data=st.data(), num_rows=st.integers(1, 4), length=st.integers(1, 9))
def test_positions_count_from_the_start_of_the_document_or_the_row(few, data, num_rows, length):
    size = num_rows * length
    ends = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size))).reshape(num_rows, length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "FEW_DOCUMENTS", few)  # both ways of counting
        got = positions(ends)
    for row, place in zip(ends.tolist(), got.tolist(), strict=True):
        expected = 0
        for end, found in zip(row, place, strict=True):
            assert found == expected
            expected = 0 if end else expected + 1


def test_an_end_in_the_last_place_is_a_label_only():
    batch = pack(np.array([[5, 6, 7, EOS], [EOS, 8, 9, 4]], dtype=np.uint16), EOS, np.zeros(2, int), np.zeros(2, bool))
    np.testing.assert_array_equal(batch.labels, [[6, 7, EOS], [IGNORE, 9, 4]])
    np.testing.assert_array_equal(batch.position_ids, [[0, 1, 2], [0, 0, 1]])
    assert {a.dtype for a in (batch.input_ids, batch.labels, batch.position_ids)} == {np.dtype(np.int64)}
