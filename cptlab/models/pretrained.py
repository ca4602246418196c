"""`model=pretrained`: any causal language model of transformers, from a local folder or a hub name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.errors import UserError, closest
from cptlab.models.base import Base, Model, base_of_run, config_sha256, load_pretrained
from cptlab.models.weights import weights_sha256
from cptlab.variants import variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel


WANTED = (
    "give the folder of a Hugging Face model, a run folder of cptlab (runs/<run_id>), or the name of a model of the Hub"
    " (owner/model)"
)


@variant("model")
@dataclass(kw_only=True)
class Pretrained(Model):
    """`path` is a Hugging Face folder, a run folder of cptlab, or a hub name (fetched once, safetensors only)."""

    path: str = ""  # folder or hub name; required
    revision: str = "main"  # branch, tag or commit of a hub name
    lr_history: Any = None  # {peak_lr, tokens, tokens_per_step, schedule} of its pre-training, for laws and re-warming

    def __post_init__(self) -> None:
        if not self.path:
            raise UserError("model=pretrained needs model.path=FOLDER or model.path=HUB_NAME")

    def folder(self) -> Path:
        """The local folder; a hub name is fetched into the hub's cache first."""
        local = Path(self.path)
        if (local / "model" / "config.json").exists():
            return local / "model"
        if (local / "config.json").exists():
            return local
        if local.exists() or self.path.startswith((".", "/", "~")) or self.path.count("/") > 1:
            raise UserError(f"model.path: {absent(local)}; {WANTED}")
        from huggingface_hub import snapshot_download

        try:
            patterns = ["*.json", "*.safetensors", "*.model", "*.txt"]
            return Path(snapshot_download(self.path, revision=self.revision, allow_patterns=patterns))
        except (OSError, ValueError) as error:
            here, there = absent(local), why_not_fetched(error, self.revision)
            raise UserError(f"model.path: {here}, and as a name of the Hub {self.path} {there}; {WANTED}") from error

    def base(self) -> Base:
        """The record of the run that trained it if cptlab did, else the hash of its weights."""
        folder = self.folder()
        if (folder.parent / "done.json").exists() and folder.name == "model":
            if self.lr_history:
                raise UserError(f"model.lr_history: the record in {folder.parent} tells it; leave it null")
            return base_of_run(folder.parent)
        return Base(kind="pretrained", weights_sha256=weights_sha256(folder), lr_history=self.lr_history)

    def identity(self) -> dict:
        """The configuration (RoPE base, activation, ...); the weights enter by their hash."""
        return {"config_sha256": config_sha256(self.folder())}

    def build(self, vocab_size: int, sequence_length: int, seed: int) -> PreTrainedModel:
        """The weights in fp32."""
        return load_pretrained(self.folder(), vocab_size, sequence_length)


def absent(folder: Path) -> str:
    """What was looked for in a folder, and whether it is one; the nearest name beside it."""
    if folder.is_dir():
        return f"{folder.absolute()} holds neither config.json nor, as a run does, model/config.json"
    if folder.exists():
        return f"{folder.absolute()} is a file, not the folder with config.json"
    beside = [each.name for each in folder.absolute().parent.glob("*/") if not each.name.startswith(".")]
    near = closest(folder.name, beside).split("?")[0]
    hint = f" ({near.strip()}?)" if near.startswith(" Did you mean") else ""
    return f"there is no folder {folder.absolute()}{hint}"


def why_not_fetched(error: Exception, revision: str) -> str:
    """What the Hub, or its cache on this machine, answered."""
    from huggingface_hub import constants, errors

    if isinstance(error, errors.HFValidationError):
        return "cannot be one"
    absent_there = f"(revision {revision}) is not in the cache {constants.HF_HUB_CACHE}"
    if constants.HF_HUB_OFFLINE:
        return f"{absent_there}, and HF_HUB_OFFLINE forbids to fetch it"
    if isinstance(error, errors.GatedRepoError):
        return "is gated: accept its terms on the Hub, then `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "does not exist, or is private: `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision {revision}; mend model.revision"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return f"{absent_there}, and the Hub did not answer"
    return f"could not be fetched ({type(error).__name__})"
