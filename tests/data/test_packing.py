import numpy as np

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
