"""What a network predicts for tokens, and how far another is from it: the top k of a distribution, KL by a top k.

Shapes: N tokens, D hidden width, V vocabulary, k answers a token.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cptlab.training.linear_loss import CHUNK_LOGITS, even_chunk
from cptlab.training.objective import Objective
from cptlab.training.parallel import reshard

if TYPE_CHECKING:
    from cptlab.training.network import Inputs, Network

Head = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Answers:
    """The likeliest tokens of each place: ids (N, k), natural log of their probabilities (N, k)."""

    ids: Tensor
    log_q: Tensor


@dataclass
class Instead(Objective):
    """No loss: takes what it wants of hidden states and head, where they are whole (inside the forward pass)."""

    take: Callable[[Tensor, Head], Any]
    taken: Any = None

    def loss(self, hidden_ND: Tensor, head: nn.Module, labels_N: Tensor, scale_N: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros."""
        self.taken = self.take(hidden_ND, head)
        return hidden_ND.new_zeros(()), hidden_ND.new_zeros(len(labels_N))


def answers_of(network: Network, part: Inputs, take: Callable[[Tensor, Head], Any]) -> Any:
    """take(hidden (N, D), head) in one forward pass of the network, without its loss."""
    objective, instead = network.objective, Instead(take)
    network.objective = instead
    try:
        network(part, torch.ones((), device=part["labels"].device))
    finally:
        network.objective = objective
    reshard(network)
    return instead.taken


@torch.no_grad()
def top_answers(hidden_ND: Tensor, head: Head, top_k: int, chunk: int = 0) -> Answers:
    """A chunk of tokens at a time: the logits of all never exist together."""
    kept = []
    for part in hidden_ND.split(chunk or chunk_of(hidden_ND, head)):
        logits = head(part).float()
        log_q, ids = logits.log_softmax(-1).topk(min(top_k, logits.shape[-1]))
        kept.append((ids.int(), log_q))
    return Answers(torch.cat([ids for ids, _ in kept]), torch.cat([log_q for _, log_q in kept]))


def kl_to_answers(hidden_ND: Tensor, head: Head, answers: Answers, weight_N: Tensor, chunk: int = 0) -> Tensor:
    """Sum over tokens of weight * KL_k(answers || head(hidden)) [nat], with gradient; logits are computed twice."""
    total = hidden_ND.new_zeros((), dtype=torch.float32)
    size = chunk or chunk_of(hidden_ND, head)
    parts = (each.split(size) for each in (hidden_ND, answers.ids, answers.log_q, weight_N))
    for hidden, ids, log_q, weight in zip(*parts, strict=True):
        total = total + cast(Tensor, checkpoint(_kl_of_chunk, hidden, head, ids, log_q, weight, use_reentrant=False))
    return total


def _kl_of_chunk(hidden: Tensor, head: Head, ids: Tensor, log_q: Tensor, weight: Tensor) -> Tensor:
    return (lumped_kl(head(hidden).float(), ids, log_q) * weight).sum()


def lumped_kl(logits_NV: Tensor, ids_Nk: Tensor, log_q_Nk: Tensor) -> Tensor:
    """(N,) sum over the k of q log(q / p) + q_rest log(q_rest / p_rest); the rest is no event where k = V."""
    log_p = logits_NV.log_softmax(-1)
    kept = log_p.gather(-1, ids_Nk.long())
    kl = (log_q_Nk.exp() * (log_q_Nk - kept)).sum(-1)
    if ids_Nk.shape[-1] == logits_NV.shape[-1]:
        return kl
    others = torch.zeros_like(log_p).scatter_(-1, ids_Nk.long(), float("-inf"))
    log_p_rest = (log_p + others).logsumexp(-1)
    q_rest = (1 - log_q_Nk.exp().sum(-1)).clamp(min=1e-30)  # rounding may leave less than nothing
    return kl + q_rest * (q_rest.log() - log_p_rest)


def chunk_of(hidden: Tensor, head: Head) -> int:
    """Tokens whose logits are held together."""
    width = getattr(head, "out_features", None) or hidden.shape[-1]
    rows = max(64, CHUNK_LOGITS.get(hidden.device.type, 1 << 24) // width)
    return even_chunk(len(hidden), rows)
