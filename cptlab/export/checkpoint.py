"""Weights of a run from one of its checkpoints, full or sharded: the model is built again as the run built it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.data.corpus import digest_at
from cptlab.data.tokenizer import load_tokenizer
from cptlab.errors import UserError
from cptlab.export.record import Recorded, refuse_no_run
from cptlab.training.checkpoint.folder import final_name, kept, newest_valid, problem, step_of
from cptlab.variants import discover_group

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from cptlab.models.base import Model

LATEST = "latest"


def checkpoint_of(run: Path, which: str) -> Path:
    """The checkpoint folder that `--step N` or `--step latest` means. UserError unless it is there and whole."""
    refuse_no_run(run)
    if which != LATEST and not which.isdigit():
        raise UserError(f"--step is {which}; give a number of steps, or {LATEST}")
    found, steps = kept(run), ", ".join(str(step_of(path)) for path in reversed(kept(run)))
    if not found:
        raise UserError(
            f"{run} holds no checkpoint (a finished run drops them unless checkpoint.keep_finished=true); leave out"
            " --step to export its final weights"
        )
    if which == LATEST:
        path = newest_valid(run, lambda text: None)
        if path is None:
            raise UserError(f"{run}: none of its checkpoints is whole ({found[0].name}: {problem(found[0])})")
        return path
    path = final_name(run, int(which))
    if path not in found:
        raise UserError(f"{run} holds no checkpoint of step {which}; there are those of {steps}")
    if why := problem(path):
        raise UserError(f"{path} cannot be used: {why}; there are those of {steps}")
    return path


def described_variant(run: Recorded, group: str) -> Any:
    """The object of a group that run.json describes."""
    named = dict(run.facts["config"].get(group) or {"variant": "none"})
    known, name = discover_group(group), named.pop("variant")
    if name not in known:
        raise UserError(f"{run.path}: {group}={name} is not known here; export with the version that trained the run")
    return known[name](**named)


def tokenizer_folder(run: Recorded, model: Model) -> Path:
    """The tokenizer that cut the run's corpora: the base's, or in data.cache_dir. UserError if it is in neither."""
    data, base = run.facts["config"]["data"], model.folder()
    cache = Path(data.get("cache_dir", ""))
    places = [base, run.path / "model", *sorted(cache.glob("tokenizers/*")), *sorted(cache.glob("*/tokenizer"))]
    for place in places:
        if place is not None and digest_at(str(place)) == run.facts["tokenizer_hash"]:
            return place
    raise UserError(
        f"{run.path}: the tokenizer of the run (hash {run.facts['tokenizer_hash'][:12]}) is neither with its base nor"
        f" in {cache}; put that folder back"
    )


def load_checkpoint(run: Recorded, path: Path, tokenizer: Path) -> PreTrainedModel:
    """The plain model as it was at the checkpoint, in fp32 on the CPU, an adapter merged.

    Averaged weights (schedule-free) need the optimizer's state, too; else the trained weights alone are read.
    """
    import torch

    from cptlab.training.build import model_of
    from cptlab.training.checkpoint.load import weights_in

    variant, adapter, optimizer = (described_variant(run, group) for group in ("model", "adapter", "optimizer"))
    if (found := variant.base().weights_sha256) != run.facts["base"]["weights_sha256"]:
        raise UserError(f"{run.path}: its base is not the one that it started from (SHA-256 {found[:12]}); restore it")
    ends = load_tokenizer(str(tokenizer))
    torch.manual_seed(run.facts["seed"])  # as the run did before it built its model
    model = model_of(variant, ends.vocab_size, ends.eos_id, run.facts["sequence_length"], run.facts["seed"])
    model = adapter.apply(model)
    weights = weights_in(path)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    other = {*(trained - set(weights)), *(set(weights) - set(model.state_dict()))}
    if other:
        raise UserError(f"{path} keeps other weights than the run's model has ({min(other)} is on one side only)")
    model.load_state_dict(weights, strict=False)
    if optimizer.averages:
        put_averages(model, optimizer, path)
    return adapter.merged(model) if adapter.identity() else model


def put_averages(model: PreTrainedModel, optimizer: Any, path: Path) -> None:
    """The averages of the optimizer in place of the weights that it takes gradients at."""
    import json

    from cptlab.training.checkpoint.folder import STATE
    from cptlab.training.checkpoint.load import restore
    from cptlab.training.network import Network
    from cptlab.training.objective import CLM

    network = Network(model, CLM())
    built = optimizer.build(network)
    restore(path, json.loads((path / STATE).read_text("utf8")), network, built)
    built.eval()
