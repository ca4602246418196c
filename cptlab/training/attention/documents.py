"""Documents of packed rows: a mask, cumulative lengths or a block mask; a position of 0 starts a document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn.attention.flex_attention import BlockMask

BLOCK = 128  # tokens of a side of flex's blocks


def document_mask(position_ids_BT: Tensor, causal: bool = True) -> Tensor:
    """(B, 1, T, T) bool, true where the query (third axis) may look.

    Given to transformers as a ready mask: with a two-dimensional mask it would ignore the documents.
    """
    import torch

    document = document_numbers(position_ids_BT)
    same = document[:, None, :, None] == document[:, None, None, :]
    if not causal:
        return same
    length = position_ids_BT.shape[-1]
    return same & torch.ones(length, length, dtype=torch.bool, device=position_ids_BT.device).tril()


def document_numbers(position_ids_BT: Tensor) -> Tensor:
    """(B, T) int64: the number of the token's document in its row, rising along it."""
    return (position_ids_BT == 0).cumsum(-1)


def has_inner_boundaries(position_ids_BT: Tensor) -> bool:
    """Whether a document starts within a row. On the CPU, or it waits for the GPU."""
    return bool((position_ids_BT[:, 1:] == 0).any())


def document_lengths(position_ids_BT: Tensor) -> list[int]:
    """Tokens of every document of the rows laid end to end; every row starts one. On the CPU."""
    starts = position_ids_BT == 0
    starts[:, 0] = True
    first = starts.flatten().nonzero().flatten().tolist()
    return [end - start for start, end in zip(first, [*first[1:], starts.numel()], strict=True)]


def cumulative_lengths(position_ids_BT: Tensor) -> tuple[Tensor, int]:
    """Documents of all rows laid end to end: (N + 1,) int32 starts with B T at the end, and a bound on the longest.

    Every row starts a document. The bound is the next power of two, at most T: a compiled graph then sees few of
    them, and the kernels only take it to size their grid. Tensors on the CPU, or it waits for the GPU.
    """
    import torch

    starts = position_ids_BT == 0
    starts[:, 0] = True
    first = starts.flatten().nonzero().flatten()
    ends = torch.cat([first, torch.tensor([starts.numel()])]).to(torch.int32)
    longest = int(ends.diff().max())
    return ends, min(starts.shape[-1], 1 << (longest - 1).bit_length())


def block_mask(position_ids_BT: Tensor, causal: bool = True, device: Any = None) -> BlockMask:
    """Flex's mask from the boundaries alone: no T x T comparison, so that making it costs next to nothing.

    Documents are numbered along the row. Blocks i (queries) > j (keys) therefore share a document exactly when the
    last of j is the first of i, and only that one when the first of j is also the last of i.
    position_ids_BT: on the CPU; device: where the mask goes, by default there.
    """
    import torch
    from torch.nn.attention.flex_attention import BlockMask

    numbers = document_numbers(position_ids_BT)
    length = numbers.shape[-1]
    count = -(-length // BLOCK)
    at = torch.arange(count) * BLOCK
    first, last = numbers[:, at], numbers[:, (at + BLOCK - 1).clamp(max=length - 1)]
    shared = (first[:, :, None] <= last[:, None, :]) & (first[:, None, :] <= last[:, :, None])
    whole = (first[:, :, None] == last[:, None, :]) & (first[:, None, :] == last[:, :, None])
    whole &= (first == last)[:, :, None] & (first == last)[:, None, :]
    if length % BLOCK:  # a block that reaches past the row is never whole
        whole[:, -1] = False
        whole[:, :, -1] = False
    if causal:
        shared &= torch.ones(count, count, dtype=torch.bool).tril()
        whole &= torch.ones(count, count, dtype=torch.bool).tril(-1)
    partial = shared & ~whole
    numbers = to_device(numbers, device)

    def allowed(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        same = numbers[b, q] == numbers[b, k]
        return same & (q >= k) if causal else same

    return BlockMask.from_kv_blocks(
        *(to_device(part, device) for part in ordered(partial)), *(to_device(part, device) for part in ordered(whole)),
        BLOCK_SIZE=BLOCK, mask_mod=allowed, seq_lengths=(length, length),
    )  # fmt: skip


def ordered(blocks_BQK: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1, Q) counts and (B, 1, Q, K) indices of the true blocks of each row of blocks, those first."""
    import torch

    count = blocks_BQK.sum(-1, dtype=torch.int32)
    index = blocks_BQK.int().argsort(dim=-1, descending=True, stable=True).int()
    return count[:, None], index[:, None].contiguous()


def to_device(tensor: Tensor, device: Any) -> Tensor:
    """A copy on the device that the CPU does not wait for: from pageable memory it would."""
    if device is None or str(tensor.device) == str(device):
        return tensor
    if tensor.device.type == "cpu" and str(device).startswith("cuda"):
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
