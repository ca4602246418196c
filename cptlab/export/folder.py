"""`cptlab export runs/<id>`: weights, configuration, tokenizer and model card in one Hugging Face folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.data.tokenizer import load_tokenizer
from cptlab.errors import UserError, closest
from cptlab.export.card import card
from cptlab.export.check import Difference, difference, logits, probe, refuse_another_model
from cptlab.export.checkpoint import checkpoint_of
from cptlab.export.record import Recorded, open_run
from cptlab.export.weights import Weights, weights_of
from cptlab.models.base import weights_sha256
from cptlab.training.build import silence_libraries
from cptlab.training.checkpoint.folder import step_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
# What save_pretrained writes itself, or no reader of the export needs.
OURS = ("config.json", "generation_config.json", "adapter_config.json", "README.md", "model.safetensors.index.json")


@dataclass(frozen=True)
class Export:
    """What was written, and how far it is from the run's own model.

    reloaded: of the folder from what was saved; rounded: of the folder from the run in fp32.
    """

    folder: Path
    dtype: str
    weights_sha256: str
    reloaded: Difference
    rounded: Difference
    mended: str = ""  # what config.json said otherwise

    def sentences(self) -> list[str]:
        """How the export compares, for the terminal and the model card."""
        if self.reloaded.exact:
            lines = ["Reloaded with transformers, it gives the logits of the saved model bit for bit."]
        else:
            lines = [f"Reloaded with transformers, its logits differ by at most {self.reloaded.logit:.3g}."]
        if self.dtype != "fp32":
            lines.append(
                f"Against the run in fp32, {self.dtype} moves a logit by at most {self.rounded.logit:.3g} (largest"
                f" logit {self.rounded.largest:.3g}), {self.rounded.kl:.2g} nat/token of KL divergence."
            )
        return [*lines, self.mended] if self.mended else lines


def export(run_folder: Path, to: Path | None = None, dtype: str = "fp32", step: str = "") -> Export:
    """Write the folder (whole or not at all), reload it, compare. UserError for what cannot be exported.

    step: a number of steps or `latest`, of a checkpoint; "" = the weights that the run ended with.
    """
    if dtype not in DTYPES:
        raise UserError(f"--dtype is {dtype}.{closest(dtype, DTYPES)}")
    checkpoint = checkpoint_of(run_folder, step) if step else None
    run = open_run(run_folder, step_of(checkpoint) if checkpoint else None)
    name = f"export_step_{run.step}" if checkpoint else "export"
    target = to or run.path / (name if dtype == "fp32" else f"{name}_{dtype}")
    refuse_taken(target, run.path)
    weights = weights_of(run, checkpoint)
    check_tokenizer(weights.tokenizer, run)
    with whole(target) as folder:
        saved, rounded, mended = save(weights, folder, dtype)
        copy_tokenizer(weights.tokenizer, folder)
        done = Export(target, dtype, weights_sha256(folder), saved, rounded, mended)
        (folder / "README.md").write_text(card(run, dtype, weights.kind, done.weights_sha256, done.sentences()), "utf8")
    return done


def refuse_taken(target: Path, run: Path) -> None:
    """UserError if the target holds something, or is a part of the run that the export would change."""
    if target.exists() and not target.is_dir():
        raise UserError(f"--to {target} is a file; name a folder")
    if target.exists() and any(target.iterdir()):
        raise UserError(f"{target} is not empty; remove it, or name another folder with --to")
    if target.resolve() in (run.resolve(), (run / "model").resolve()):
        raise UserError(f"--to {target} is a folder of the run itself; name another one")


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A folder beside the target that becomes it at the end, and is gone if anything fails."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if target.exists():
            target.rmdir()  # empty, see refuse_taken
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save(weights: Weights, folder: Path, dtype: str) -> tuple[Difference, Difference, str]:
    """Write weights and configuration; differences of the reloaded model from the saved one and from fp32, and
    what `end_of_text` changed.

    One model is in memory at a time. Only parameters are rounded: tables that a model computes when it is built
    (rotary frequencies) stay as a reader will have them.
    """
    import torch

    silence_libraries()
    from transformers import AutoModelForCausalLM

    model = weights.load()
    mended = end_of_text(model, weights.tokenizer)
    tokens = probe(model)
    own = in_memory = logits(model, tokens)
    if dtype != "fp32":
        for parameter in model.parameters():
            parameter.data = parameter.data.to(getattr(torch, DTYPES[dtype]))
        in_memory = logits(model, tokens)
    model.save_pretrained(folder)
    del model
    again = AutoModelForCausalLM.from_pretrained(
        folder, use_safetensors=True, dtype=DTYPES[dtype], attn_implementation="sdpa", local_files_only=True
    )
    out = logits(again, tokens)
    reloaded = difference(in_memory, out)
    refuse_another_model(reloaded, folder)
    return reloaded, difference(own, out), mended


def end_of_text(model: PreTrainedModel, tokenizer: Path) -> str:
    """Let generation end at the token that ended the documents of this run; the sentence that says so, or ""."""
    eos = load_tokenizer(str(tokenizer)).eos_id
    found = model.config.eos_token_id
    if eos in (found if isinstance(found, list) else [found]):
        return ""
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.bos_token_id = eos, None
    return f"config.json ends a text at token {eos}, as the tokenizer does; the run's own says {found}."


def check_tokenizer(folder: Path, run: Recorded) -> None:
    """UserError unless the tokenizer beside the weights is the one that cut the run's corpora."""
    found = load_tokenizer(str(folder)).hash
    if found != run.facts["tokenizer_hash"]:
        raise UserError(
            f"{folder}: the tokenizer is not the run's (hash {found[:12]}, record says"
            f" {run.facts['tokenizer_hash'][:12]}); restore the folder or train the run again"
        )


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Every file of the tokenizer as it is."""
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix != ".safetensors" and file.name not in OURS:
            shutil.copyfile(file, folder / file.name)
