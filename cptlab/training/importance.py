"""Whether the importance that an earlier run left is that of the weights which this run trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.regularizers.path import PathRegularizer
from cptlab.training.fits import skeleton

if TYPE_CHECKING:
    from cptlab.config import TrainConfig

MADE_BY = "regularizer"  # metadata of the file; the only key, since safetensors writes several in any order
PREFIX = "model."  # of the model's weights in the network

Shapes = dict[str, tuple[int, ...]]


def check_importance(config: TrainConfig, weights: Path | None, vocab_size: int, known: dict[str, Any]) -> None:
    """UserError where `si` or `rwalk` would read a file of another regularizer, of another model, or no such file.

    weights: folder of the base's. known: what the points of a grid have found out.
    """
    regularizer = config.regularizer
    file = regularizer.file(weights) if isinstance(regularizer, PathRegularizer) else None
    seen = repr((file, regularizer, config.model, config.adapter, vocab_size))
    if file is None or seen in known:
        return
    name = regularizer.variant_name  # type: ignore[attr-defined]
    shapes, made_by = head_of(file)
    kinds = {key.partition("/")[0] for key in shapes}
    if made_by not in ("", name) or ("importance" in kinds and not kinds <= set(regularizer.kept)):
        other = made_by or "rwalk"  # files from before there was metadata: that of `si` holds nothing but importance
        raise UserError(
            f"regularizer={name} would read {file}, which a run with regularizer={other} left and which means something"
            f" else; use regularizer={other}, or name the file of a run with {name} in regularizer.importance"
        )
    model = config.adapter.outline(skeleton(config.model, weights, config.data.sequence_length, vocab_size))
    trained = {PREFIX + weight: tuple(p.shape) for weight, p in model.named_parameters() if p.requires_grad}
    if why := misfit(shapes, trained):
        adapter = config.adapter.variant_name if config.adapter.identity() else ""  # type: ignore[attr-defined]
        mend = f"; adapter={adapter} trains its own weights: use regularizer=ewc, or adapter=none" if adapter else ""
        raise UserError(
            f"regularizer={name}: {file} is not the importance of the weights that this run trains: {why}"
            + (mend or f"; name that of a run of this model with {name} in regularizer.importance")
        )
    known[seen] = True


def head_of(file: Path) -> tuple[Shapes, str]:
    """({kind/weight: shape}, the regularizer that left it, "" in older files). UserError for no safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118 - no dict
            return shapes, (opened.metadata() or {}).get(MADE_BY, "")
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"regularizer.importance: {file} is no safetensors file ({' '.join(str(error).split())[:80]}); name the"
            " importance.safetensors of a run with regularizer=si or rwalk"
        ) from error


def misfit(shapes: Shapes, trained: Shapes) -> str:
    """What of a file does not belong to the weights of a run; "" if it holds the importance of each, and no more."""
    held = {key.partition("/")[2] or key: shape for key, shape in shapes.items()}
    for weight, shape in held.items():
        if weight not in trained:
            return f"it holds {weight}, which is none of them"
        if shape != trained[weight]:
            return f"it holds {weight} of shape {shape} where they have {trained[weight]}"
    lacking = [weight for weight in trained if f"importance/{weight}" not in shapes]
    return f"it lacks {lacking[0]}" if lacking else ""
