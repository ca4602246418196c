"""Where the weights of a finished run are: the one place that knows how a run keeps them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.errors import UserError
from cptlab.export.record import Finished
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


def weights_of(run: Finished) -> Weights:
    """The weights that a run ended with. UserError if it kept none or they are not those of its record."""
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


def base_folder(run: Finished) -> Path:
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
