"""Where the weights of a run are: the one place that knows how a run keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.export.record import Recorded
from cptlab.models.base import load_pretrained, weights_sha256

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER = "adapter_config.json"  # what peft writes beside weights that are only an adapter's


@dataclass(frozen=True)
class Weights:
    """The run's own model.

    kind: `model` (a whole one) or `adapter` (merged into its base by `load`).
    load: makes the model in fp32 on the CPU, one whole model in memory.
    tokenizer: folder of the tokenizer that cut the run's corpora.
    """

    kind: str
    load: Callable[[], PreTrainedModel]
    tokenizer: Path


def weights_of(run: Recorded, checkpoint: Path | None = None) -> Weights:
    """The weights that a run ended with, or those of a checkpoint.

    UserError if it kept none or they are not those of its record.
    """
    if checkpoint:
        return weights_at(run, checkpoint)
    folder = run.path / "model"
    if not run.done.get("weights_sha256") or not any(folder.glob("*.safetensors")):
        raise UserError(f"{run.path}: that run kept no weights; train it with save_model=true")
    found = weights_sha256(folder)
    if found != run.done["weights_sha256"]:
        raise UserError(
            f"{folder}: the weights are not those of the record (SHA-256 {found[:12]}, record says"
            f" {run.done['weights_sha256'][:12]}); restore the folder or train the run again"
        )
    if (folder / ADAPTER).is_file():
        base = base_folder(run)
        return Weights("adapter", lambda: merged(base, folder), folder)
    return Weights("model", lambda: load_pretrained(folder, 0, 0), folder)


def weights_at(run: Recorded, checkpoint: Path) -> Weights:
    """The weights of a checkpoint, which is whole (its checksums were compared)."""
    from cptlab.export.checkpoint import described_variant, load_checkpoint, tokenizer_folder

    tokenizer = tokenizer_folder(run, described_variant(run, "model"))
    kind = "adapter" if described_variant(run, "adapter").identity() else "model"
    return Weights(kind, lambda: load_checkpoint(run, checkpoint, tokenizer), tokenizer)


def base_folder(run: Recorded) -> Path:
    """The folder of the base that an adapter was trained on, checked against the record's hash."""
    model = run.facts["config"].get("model", {})
    place = Path(model.get("base_run") or model.get("path") or "")
    folder = place / "model" if (place / "model" / "config.json").is_file() else place
    if not (folder / "config.json").is_file():
        raise UserError(f"{run.path}: the base of its adapter is not in {place}; put it there to merge them")
    if weights_sha256(folder) != run.facts["base"]["weights_sha256"]:
        raise UserError(f"{run.path}: the base in {folder} is not the one that its adapter was trained on; restore it")
    return folder


def merged(base: Path, adapter: Path) -> PreTrainedModel:
    """A plain model: the adapter's update added to the base's weights, the base's files untouched."""
    from peft import PeftModel

    wrapped = PeftModel.from_pretrained(load_pretrained(base, 0, 0), str(adapter))
    return wrapped.merge_and_unload()  # type: ignore[return-value]
