"""The chosen attention in a model: a function of our own name in transformers' interface, so that none is fetched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.training.attention.choice import Choice
from cptlab.training.attention.flash import VERSIONS, flash_kernel
from cptlab.training.attention.flex import flex_attention
from cptlab.training.attention.sdpa import sdpa_attention
from cptlab.training.attention.stream import stream_attention
from cptlab.training.attention.varlen import varlen_kernel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Names without "flash": transformers would take them for its own and look for kernels.
NAMES = {"flash_attention_4": "cptlab_fa4", "flash_attention_3": "cptlab_fa3", "flash_attention_2": "cptlab_fa2",
         "varlen": "cptlab_varlen", "flex": "cptlab_flex", "sdpa": "cptlab_sdpa", "eager": "eager"}  # fmt: skip
DROPOUTS = ("attention_dropout", "attn_pdrop", "attention_probs_dropout_prob")
NO_DROPOUT = ("flash_attention_4", "flash_attention_3", "varlen", "flex")
NO_WINDOW = ("flex", "eager")  # eager: its mask is ready before a layer could narrow it


def install(model: PreTrainedModel, choice: Choice, sequence_length: int | None = None) -> None:
    """Make every layer of the model attend by the choice; `eager` is the model's own function.

    sequence_length: T of the rows, by default as many as the model has positions; a sliding window as long as that
    hides nothing. UserError for a model whose layers transformers cannot redirect, or with attention dropout or a
    sliding window that the backend does not compute.
    """
    config = model.config.get_text_config()
    refuse_lacks(config, choice, sequence_length)
    if choice.name != "eager":
        register(choice.name)
    kind = model.config.model_type
    if not type(model)._can_set_attn_implementation():
        raise UserError(f"model type {kind} takes no other attention function; use a Llama-like, GPT-2 or NeoX model")
    try:
        model.set_attn_implementation(NAMES[choice.name])
    except (ValueError, ImportError) as error:
        raise UserError(
            f"model type {kind} takes no machine.attention={choice.name} ({' '.join(str(error).split())[:100]});"
            " take machine.attention=eager"
        ) from error


def register(name: str) -> None:
    """Enter a backend in transformers' interfaces. Its mask function serves rows that are padded, not packed."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAMES[name], function_of(name))
    AttentionMaskInterface.register(NAMES[name], sdpa_mask)


def function_of(name: str) -> Callable:
    """The attention function of a backend. ImportError if its package is absent."""
    if name in VERSIONS:
        return stream_attention(name, flash_kernel(name))
    if name == "varlen":
        return stream_attention(name, varlen_kernel())
    return flex_attention() if name == "flex" else sdpa_attention()


def refuse_lacks(config: Any, choice: Choice, sequence_length: int | None) -> None:
    """UserError for attention dropout, a sliding window or chunks that the backend does not compute."""
    kinds = getattr(config, "layer_types", None) or []
    if "chunked_attention" in kinds:
        raise UserError(f"model type {config.model_type} attends in chunks; packed documents would leak between them")
    for name in DROPOUTS:
        if choice.name in NO_DROPOUT and getattr(config, name, 0):
            raise UserError(
                f"machine.attention={choice.name} has no dropout and the model has {name} {getattr(config, name)};"
                f" take machine.attention=sdpa or set it to 0 in the model's config.json"
            )
    window: int | None = getattr(config, "sliding_window", None)
    slides = not kinds or "sliding_attention" in kinds
    length = sequence_length or getattr(config, "max_position_embeddings", 0)
    if choice.name in NO_WINDOW and window is not None and slides and window < length:
        raise UserError(
            f"machine.attention={choice.name} makes no sliding window, and the model's of {window} is shorter than the"
            f" rows of {length}; take machine.attention=sdpa, or data.sequence_length={window}"
        )
