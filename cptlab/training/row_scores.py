"""Scores of rows under a base, for `mixture=perplexity_curriculum` and `mixture=subset_epochs choose=best`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cptlab.config import TrainConfig


def write_row_scores(config: TrainConfig, corpus: str, file: str | Path, batch_rows: int = 64) -> np.ndarray:
    """Minus the mean loss [nat/token] of every row of a corpus' train split under the model of `config`.

    Written to `file` as (rows,) float32 `.npy`, whole or not at all, and returned. UserError for an unknown corpus.
    """
    import torch

    from cptlab.data.packing import IGNORE
    from cptlab.data.rows import read_batch
    from cptlab.mixtures.shares import check_names
    from cptlab.training.build import attention_of, prepare_torch
    from cptlab.training.evaluate import to_tensors
    from cptlab.training.network import Network
    from cptlab.training.point import open_point

    point = open_point(config)
    names = [each.name for each in point.stream.corpora]
    check_names([corpus], names, "the corpus to score")
    prepare_torch(config)
    device = "cuda" if config.machine.accelerator == "gpu" else "cpu"
    model = config.model.build(point.corpora.vocab_size, config.data.sequence_length, config.seed).eval()
    attention = attention_of(config.machine, model, config.data.sequence_length)
    network = Network(model, config.objective, attention).to(device)
    source = names.index(corpus)
    scores = np.empty(len(point.stream.rows[source]), dtype=np.float32)
    for start in range(0, len(scores), batch_rows):
        row = np.arange(start, min(start + batch_rows, len(scores)))
        part = read_batch(
            point.stream.rows, np.full(len(row), source), row, np.zeros(len(row), bool),
            point.corpora.eos_id, point.corpora.vocab_size,
        )  # fmt: skip
        with torch.no_grad():
            losses = network(network.inputs(to_tensors(part), device))[1].double().sum(-1).cpu().numpy()
        scores[row] = -losses / np.maximum((part.labels != IGNORE).sum(-1), 1)
    temporary = Path(f"{file}.{os.getpid()}.npy")
    np.save(temporary, scores)
    temporary.replace(file)
    return scores
