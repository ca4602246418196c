"""Boundaries of documents as masks, lengths and blocks."""

import torch
from attention_models import positions
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_block_mask

from cptlab.training.attention import (
    Choice,
    document_inputs,
    document_mask,
)
from cptlab.training.attention.documents import block_mask, cumulative_lengths

ROWS = st.integers(1, 300).flatmap(
    lambda length: st.lists(
        st.sets(st.integers(1, max(length - 1, 1)), max_size=6).map(
            lambda cuts: [b - a for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), length], strict=True) if b > a]
        ),
        min_size=1,
        max_size=3,
    )
)


def test_the_mask_by_hand():
    by_hand = [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]]
    assert document_mask(positions([2, 2])).int().tolist() == [by_hand]
    both_ways = [[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]]
    assert document_mask(positions([2, 2]), causal=False).int().tolist() == [both_ways]


def test_cumulative_lengths_by_hand():
    ends, longest = cumulative_lengths(positions([3, 5], [8]))
    assert (ends.tolist(), longest, ends.dtype) == ([0, 3, 8, 16], 8, torch.int32)
    assert cumulative_lengths(positions([5, 2, 93]))[1] == 100  # the next power of two would exceed the row
    assert cumulative_lengths(positions([5, 2, 33]))[1] == 40
    assert cumulative_lengths(positions([17, 9, 30, 44]))[1] == 64
    middle_of_a_document = torch.tensor([[7, 8, 0, 1], [3, 4, 5, 6]])
    assert cumulative_lengths(middle_of_a_document)[0].tolist() == [0, 2, 4, 8]


@given(ROWS)
def test_cumulative_lengths_are_the_lengths_of_the_documents(rows):
    ends, longest = cumulative_lengths(positions(*rows))
    lengths = [length for row in rows for length in row]
    assert ends.diff().tolist() == lengths
    assert max(lengths) <= longest <= min(sum(rows[0]), 2 * max(lengths))


@given(ROWS, st.booleans())
def test_the_block_mask_is_the_one_that_torch_finds_by_trying_every_pair(rows, causal):
    position_ids = positions(*rows)
    found = block_mask(position_ids, causal)
    dense = document_mask(position_ids, causal)
    length = position_ids.shape[-1]
    expected = create_block_mask(
        lambda b, h, q, k: dense[b, 0, q, k], len(rows), None, length, length, device="cpu"
    )  # fmt: skip
    assert torch.equal(found.to_dense(), expected.to_dense())
    for name in ("kv_num_blocks", "full_kv_num_blocks", "q_num_blocks", "full_q_num_blocks"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    index = torch.arange(length)
    queries, keys = index[:, None], index[None, :]
    allowed = torch.stack([found.mask_mod(torch.tensor(b), torch.tensor(0), queries, keys) for b in range(len(rows))])
    assert torch.equal(allowed[:, None], dense)


def test_rows_without_inner_boundaries_have_an_empty_mask_and_others_a_full_one():
    sdpa = Choice("sdpa")
    assert document_inputs(positions([6], [6]), sdpa)["attention_mask"].shape == (2, 1, 0, 0)
    assert document_inputs(positions([6], [3, 3]), sdpa)["attention_mask"].shape == (2, 1, 6, 6)


def test_inputs_of_a_stream_by_hand():
    made = document_inputs(positions([3, 5], [8]), Choice("varlen"), causal=False)
    assert made["cu_seq_lens_q"].tolist() == made["cu_seq_lens_k"].tolist() == [0, 3, 8, 16]
    assert (made["max_length_q"], made["max_length_k"], made["is_causal"]) == (8, 8, False)
    assert isinstance(made["max_length_q"], int)
    assert made["attention_mask"].numel() == 0
