"""Scores of the rows of a corpus: a `.npy` file of one number a row, higher = better or easier.

Any file will do: quality, or what `cptlab.training.row_scores` writes, minus the loss of a row under a base.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cptlab.errors import UserError


def best_first(files: Mapping[str, str], name: str, rows: int) -> NDArray[np.int64]:
    """Row numbers of corpus `name` by falling score, ties by number: (rows,).

    UserError for a corpus without a file, or a file that is not one finite number for each of `rows` rows.
    """
    if name not in files:
        raise UserError(f"mixture.scores has no file for {name}; give mixture.scores={{{name}: <file>.npy}}")
    try:
        scores = np.load(files[name], mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"mixture.scores.{name}: {files[name]} cannot be read as a .npy file ({error})") from error
    if scores.shape != (rows,):
        raise UserError(
            f"mixture.scores.{name}: {files[name]} has shape {list(scores.shape)}; the train split of {name} has {rows}"
            " rows at this data.sequence_length, and needs one number each"
        )
    if not np.issubdtype(scores.dtype, np.number) or not np.isfinite(scores).all():
        raise UserError(f"mixture.scores.{name}: {files[name]} holds what is no finite number; score the corpus again")
    return np.argsort(-scores.astype(np.float64), kind="stable").astype(np.int64)


def content_of(files: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of every file, so that a run is known by its scores and not by where they lie."""
    digests = {}
    for name, file in files.items():
        if not Path(file).is_file():
            raise UserError(f"mixture.scores.{name}: {file} does not exist")
        with open(file, "rb") as handle:
            digests[name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return digests


def wanted(names: Sequence[str], corpora: Sequence[str], general: str, row: NDArray[np.float64]) -> dict[str, float]:
    """Share of each corpus in `names` that has one; of all but the general one where no name is given."""
    shares = dict(zip(corpora, row.tolist(), strict=True))
    return {name: shares[name] for name in names or corpora if shares[name] > 0 and (names or name != general)}
