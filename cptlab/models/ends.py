"""The two ends of a language model: which tensors of its files are input embeddings and output head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cptlab.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.models.tensor_files import TensorFolder


@dataclass(frozen=True)
class Ends:
    """Names in the safetensors files. A tied head is in `inputs`, and `outputs` is empty.

    outputs: the head's matrix and, where it has one, its bias; all have `rows` rows, one a token or more than that.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rows: int

    @property
    def tied(self) -> bool:
        """Whether the head is the table of input embeddings."""
        return not self.outputs

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.inputs + self.outputs


def ends_of(folder: TensorFolder) -> Ends:
    """By building the architecture without memory. UserError for a model that is no plain causal language model."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder.path, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"the model in {folder.path} cannot be built: {reason}") from error
    table, head = model.get_input_embeddings(), model.get_output_embeddings()
    if table is None or head is None:
        raise UserError(f"the model in {folder.path} ({config.model_type}) has no table of tokens and head to change")
    inputs = in_files(model, folder, table.weight)
    outputs = () if head.weight is table.weight else in_files(model, folder, head.weight)
    if getattr(head, "bias", None) is not None:
        outputs += in_files(model, folder, head.bias)
    rows = {folder.entries[name].shape[0] for name in inputs + outputs}
    if len(rows) != 1:
        raise UserError(f"{folder.path}: embeddings and head have different numbers of rows ({sorted(rows)})")
    return Ends(inputs, outputs, rows.pop())


def in_files(model: PreTrainedModel, folder: TensorFolder, parameter: object) -> tuple[str, ...]:
    """Every name under which the files hold a parameter. UserError if they do not."""
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    names = [name for name, p in model.named_parameters(remove_duplicate=False) if p is parameter]
    found = [n for name in names for n in (name, name.removeprefix(prefix)) if n in folder.entries]
    if not found:
        raise UserError(f"{folder.path}: its files hold no {names[0]}; load and save the model once with transformers")
    return tuple(dict.fromkeys(found))
