"""What a run starts from: random weights, a trained base, or a pre-trained model of the hub."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cptlab.errors import UserError
from cptlab.models.weights import weights_sha256

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Base:
    """Where the weights of a CPT run come from, as it stands in the record.

    kind: `run` (trained by cptlab), `pretrained` (anything else), `scratch` (random weights).
    run_id, step, tokens: of the run that trained it; None if not known.
    lr_history: {peak_lr, schedule, tokens, tokens_per_step} of that run, and of its own base under `before`; or as
        declared for an open model; None if not known.
    weights_sha256: of the safetensors files; "" for random weights.
    vocab: what `vocab` changed of it before training (adapted_vocabulary.json); None = nothing.
    """

    kind: str
    run_id: str | None = None
    step: int | None = None
    tokens: int | None = None
    weights_sha256: str = ""
    lr_history: dict | None = None
    vocab: dict | None = None


@dataclass(kw_only=True)
class Model(ABC):
    """A model variant names its weights; building it imports torch and transformers, nothing before does."""

    @abstractmethod
    def folder(self) -> Path | None:
        """Local Hugging Face folder of the weights and tokenizer; None for random weights."""

    @abstractmethod
    def base(self) -> Base:
        """Identity of the weights. UserError if they are missing or do not match their record."""

    @abstractmethod
    def build(self, vocab_size: int, sequence_length: int, seed: int) -> PreTrainedModel:
        """The model in fp32 on the CPU. UserError if the tokenizer or the row does not fit it."""

    @abstractmethod
    def identity(self) -> dict:
        """What of this variant determines the numbers of a run (paths do not)."""


def config_sha256(folder: Path) -> str:
    """SHA-256 over config.json without what says nothing about the numbers of a forward pass."""
    config = json.loads((folder / "config.json").read_text("utf8"))
    volatile = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "use_cache")
    kept = {key: value for key, value in config.items() if key not in volatile}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def base_of_run(run: Path) -> Base:
    """The trained base in a run folder: its record says which weights and which history it should have."""
    try:
        facts, done = (json.loads((run / name).read_text("utf8")) for name in ("run.json", "done.json"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"model.base_run {run}: its run.json or done.json cannot be read ({error})") from error
    if done.get("status") != "finished":
        raise UserError(f"model.base_run {run}: that run is {done.get('status')}; train it to its end first")
    if not done.get("weights_sha256"):
        raise UserError(
            f"model.base_run {run}: that run kept no model; train it with save_model=true, its folder deleted first"
        )
    found = weights_sha256(run / "model")
    if found != done.get("weights_sha256"):
        raise UserError(
            f"model.base_run {run}: its weights are not those of its record (SHA-256 {found[:12]}, record says"
            f" {str(done.get('weights_sha256'))[:12]}); restore the folder or train it again with `make bases`"
        )
    return Base(
        kind="run", run_id=facts["run_id"], step=facts["steps_total"], tokens=facts["tokens_total"],
        weights_sha256=found, lr_history=history_of_run(facts),
    )  # fmt: skip


def history_of_run(facts: dict) -> dict:
    """LR history that the record of a run tells of it, that of its own base under `before` (null: not known)."""
    history = {name: facts[name] for name in ("peak_lr", "schedule", "tokens_per_step")}
    history["tokens"] = facts["tokens_total"]
    base = facts.get("base") or {}
    if base.get("kind") != "scratch":
        before, tokens, steps = base.get("lr_history"), base.get("tokens"), base.get("step")
        if before and "tokens" not in before and tokens and steps:  # of older records
            before = before | {"tokens": tokens, "tokens_per_step": tokens // steps}
        history["before"] = before
    return history


def load_pretrained(folder: str | Path, vocab_size: int, sequence_length: int) -> PreTrainedModel:
    """A causal LM from a local folder, safetensors only, checked against tokenizer and row length."""
    from transformers import AutoModelForCausalLM

    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, dtype="float32", attn_implementation="sdpa", local_files_only=True,
            output_loading_info=True,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        raise UserError(f"the model in {folder} cannot be loaded: {' '.join(str(error).split())[:200]}") from error
    model, info = cast("tuple[PreTrainedModel, dict]", loaded)
    if broken := sorted([*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])]):
        raise UserError(f"the weights in {folder} lack or misshape {len(broken)} tensors, {broken[0]} among them")
    check_fits(model, folder, vocab_size, sequence_length)
    return model


def check_fits(model: PreTrainedModel, folder: str | Path, vocab_size: int, sequence_length: int) -> None:
    """UserError where the tokenizer or the row does not fit the model."""
    rows = cast("Tensor", model.get_input_embeddings().weight).shape[0]
    if vocab_size > rows:
        raise UserError(f"the tokenizer has {vocab_size} tokens but the model in {folder} embeds {rows}; use its own")
    longest = getattr(model.config, "max_position_embeddings", sequence_length)
    if sequence_length > longest:
        raise UserError(f"data.sequence_length is {sequence_length}; the model in {folder} takes at most {longest}")


def count_params(model: PreTrainedModel) -> tuple[int, int]:
    """(parameters without input and output embeddings, all parameters), tied ones counted once."""
    total = sum(p.numel() for p in model.parameters())
    modules = [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    ends = {id(weight): weight.numel() for weight in (cast("Tensor", m.weight) for m in modules)}
    return total - sum(ends.values()), total
