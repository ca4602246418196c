"""Corpora of known sizes for mixtures."""

import numpy as np

from cptlab.mixtures.base import CorpusFacts, Mixture

CORPORA = ["general", "code", "law"]


def facts(**rows: int) -> dict[str, CorpusFacts]:
    """Ten tokens a row."""
    return {name: CorpusFacts(10 * count, count) for name, count in rows.items()}


def rows_of(mixture: Mixture, u, corpora=CORPORA, general="general", rows_total=1000, known=None):
    """Weights of a prepared mixture; 800, 150 and 50 rows unless other facts are given."""
    mixture.prepare(known or facts(general=800, code=150, law=50), rows_total)
    return mixture.weights(np.atleast_1d(np.asarray(u, dtype=float)), corpora, general)
