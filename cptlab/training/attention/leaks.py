"""The check that packed documents stay apart in a model: edit document A, look at the logits of B."""

from __future__ import annotations

import contextlib
import copy
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError
from cptlab.training.attention.choice import STREAMED, Choice
from cptlab.training.attention.documents import document_mask
from cptlab.training.attention.inputs import document_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LONGEST = 256  # two of flex's blocks: on shorter rows torch takes another kernel than in training


def refuse_leaking_documents(model: PreTrainedModel, choice: Choice | None = None) -> None:
    """UserError unless the model honours the boundaries: document A must not change the logits of B.

    Some architectures (ALiBi, state-space, soft-capped attention) cannot take a ready mask, or ignore it. A model
    that is not yet on the device of `choice` (its weights may be nowhere yet) is checked by a copy of one layer.
    Without a choice the model is given the mask of documents as it is.
    """
    import torch

    kind = model.config.model_type
    was_training, probe = model.training, model
    device = next(model.parameters()).device
    if choice is not None and device.type != choice.device_type:
        probe, device = one_layer(model, choice.device_type), torch.device(choice.device_type)
    probe.eval()
    length = min(LONGEST, getattr(model.config.get_text_config(), "max_position_embeddings", LONGEST))
    index, start = torch.arange(length), length // 2
    positions = torch.stack([torch.cat([index[:start], index[: length - start]]), index])  # two documents, and one
    if choice is None:
        documents: dict[str, Any] = {"position_ids": positions.to(device)}
        documents["attention_mask"] = document_mask(documents["position_ids"])
    else:
        documents = document_inputs(positions, choice, device=device)
    one = (torch.stack([index, 2 * index]) % 7 + 1).to(device)
    other = one.clone()
    other[:, 0] += 1  # within document A
    half = choice is not None and choice.name in STREAMED
    precision = torch.autocast(device.type, torch.bfloat16) if half else contextlib.nullcontext()
    try:
        with torch.no_grad(), precision:
            before, after = (
                probe(input_ids=ids, use_cache=False, **documents).logits.float() for ids in (one, other)
            )  # fmt: skip
    except UserError:
        raise
    except (ValueError, TypeError, RuntimeError, IndexError, NotImplementedError) as error:
        what = " ".join(str(error).split())[:120]
        raise UserError(
            f"model type {kind} takes no packed rows ({what}); use a Llama-like, GPT-2 or NeoX model"
            + ("" if choice is None else f", or another machine.attention than {choice.name}")
        ) from error
    finally:
        model.train(was_training)
    if not torch.allclose(before[0, start:], after[0, start:], atol=1e-4):
        raise UserError(
            f"model type {kind} lets packed documents see each other; use a Llama-like, GPT-2 or NeoX model"
        )
    if torch.equal(before[1, 1:], after[1, 1:]):
        raise UserError(f"model type {kind} does not see the earlier tokens of a document; take machine.attention=sdpa")


def one_layer(model: PreTrainedModel, device_type: str) -> PreTrainedModel:
    """A model of the same kind and heads with one layer, few tokens and random weights."""
    import torch

    config = copy.deepcopy(model.config)
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:1]
    config.num_hidden_layers, config.vocab_size = 1, 16
    config.pad_token_id = config.bos_token_id = config.eos_token_id = None
    with torch.random.fork_rng(devices=[]), torch.device(device_type):  # what is drawn next does not hang on this look
        return type(model)(config)
