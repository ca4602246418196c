"""The diagonal of the Fisher information of old text, a row at a time, before the first step of a run.

Every process takes the same rows, so that a sharded gradient, a mean over processes, is that of one row: the figure
does not depend on their number.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cptlab.data.packing import IGNORE
from cptlab.data.stream import evaluation_batch
from cptlab.regularizers.ewc import EWC
from cptlab.training.answers import answers_of
from cptlab.training.evaluate import to_tensors
from cptlab.training.kept import kept_of
from cptlab.training.parallel.ranks import is_first_process
from cptlab.training.progress import say_line

if TYPE_CHECKING:
    from cptlab.data.stream import TokenStream
    from cptlab.training.module import CPTModule
    from cptlab.training.network import Inputs, Network


def measure_fisher(module: CPTModule, regularizer: EWC, stream: TokenStream, corpus: str) -> None:
    """Fill `importance`: sum over rows of the squared gradient of the row's summed loss, over the number of labels.

    Says so where the corpus has fewer rows than `regularizer.rows`.
    """
    network, trainer = module.network, module._trainer
    kept = kept_of(network)
    source = stream.corpora[stream.names.index(corpus)]
    batch = evaluation_batch(source, regularizer.rows, stream.sequence_length, stream.eos_id)
    rows = to_tensors(batch)
    if (found := len(rows["labels"])) < regularizer.rows and is_first_process():
        say_line(f"regularizer.rows={regularizer.rows}: {corpus} has {found} rows, and F is measured on these")
    count = int((rows["labels"] != IGNORE).sum())
    generator = torch.Generator(module.device).manual_seed(stream.seed)
    sums = kept.local("importance")
    parameters = list(kept.weights[0].values())
    precision = trainer.precision_plugin.forward_context if trainer else nullcontext
    with module.evaluating():
        for row in range(len(rows["labels"])):
            part = network.inputs({name: value[row : row + 1] for name, value in rows.items()}, module.device)
            with precision():
                if regularizer.labels == "model":
                    part["labels"] = sampled(network, part, generator)
                loss = network(part, torch.ones((), device=module.device))[0]
            loss.backward()
            with torch.no_grad():
                for total, gradient in zip(sums, kept.local_gradients(), strict=True):
                    total.add_(gradient.to(total.device).square() / count)
            for parameter in parameters:
                parameter.grad = None


@torch.no_grad()
def sampled(network: Network, part: Inputs, generator: torch.Generator) -> Tensor:
    """Labels drawn from what the model predicts, (B, T), where there are labels."""
    logits = answers_of(network, part, lambda hidden, head: head(hidden))
    drawn = torch.multinomial(logits.float().softmax(-1), 1, generator=generator).view_as(part["labels"])
    return torch.where(part["labels"] == IGNORE, part["labels"], drawn)
