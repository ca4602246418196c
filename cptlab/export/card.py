"""The model card (README.md) of an export: the recipe as the record has it, nothing that was only asked for."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from cptlab.export.record import Recorded

RECIPE = ("vocab", "mixture", "replay", "selection", "lr_schedule", "optimizer", "objective", "adapter", "machine")
BESIDES = ("variant", "threads", "workers", "attention_why")  # said elsewhere, or without influence on the numbers


def card(run: Recorded, dtype: str, kind: str, weights_sha256: str, checks: Iterable[str]) -> str:
    """Markdown with a YAML head that the hub reads. Every name of the record is escaped; no path is shown."""
    parts = [
        head(run),
        f"# {escaped(run.run_id)}",
        "Continual pre-training by cptlab. The licence is yours to state: it depends on the base and on the text.",
        "## Recipe",
        table(("what", "value"), recipe(run, dtype, kind)),
        "## Text",
        table(("corpus", "share", "tokens", "distinct tokens", "passes", "train split (SHA-256)"), text(run)),
        f"Shares are those achieved up to the last evaluation, of {run.last['tokens_seen']:,} tokens;"
        f" {share(run.last['replay_tokens'], run.last['tokens_seen'])} of them were drawn by replay.",
        "## Losses",
        table(("corpus", "split", "base", "this model", "change", "bits per byte"), losses(run)),
        "[nat/token] on the same held-out rows before the first update and at the last evaluation, standard errors over"
        " rows. The error of a change takes the two as independent; rows are shared, so it is an upper estimate.",
        "## Versions",
        table(("package", "version"), [(name, v) for name, v in sorted(run.facts["versions"].items()) if v]),
        "## Check",
        " ".join([*checks, f"SHA-256 of the weights: `{weights_sha256}`."]),
    ]
    return "\n\n".join(parts) + "\n"


def head(run: Recorded) -> str:
    """The YAML head; a base is named only if it has a hub name."""
    fields: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["cptlab", "continual-pretraining"],
    }
    path = run.facts["config"].get("model", {}).get("path", "")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", path) and not path.startswith(".") and not Path(path).exists():
        fields["base_model"] = path
    return f"---\n{yaml.safe_dump(fields, sort_keys=True)}---"


def recipe(run: Recorded, dtype: str, kind: str) -> list[tuple[str, str]]:
    """(what, value) rows."""
    facts = run.facts
    base = facts["base"]
    origin = {"scratch": "random weights", "run": f"run {base.get('run_id')}"}.get(base["kind"], "pre-trained weights")
    if base.get("tokens"):
        origin += f", {base['tokens']:,} tokens"
    if base.get("weights_sha256"):
        origin += f", SHA-256 {base['weights_sha256'][:12]}"
    rows = [
        ("base", origin),
        ("parameters", f"{facts['num_params_nonembed']:,} without embeddings, {facts['num_params_total']:,} in all"),
        ("tokens", f"{facts['tokens_total']:,} in {facts['steps_total']:,} steps of {facts['tokens_per_step']:,}"),
        ("row", f"{facts['sequence_length']:,} tokens"),
        ("peak LR", f"{facts['peak_lr']:g}"),
    ]
    rows += [(name.replace("_", " "), described(facts["config"][name])) for name in RECIPE if facts["config"].get(name)]
    if run.step < facts["steps_total"]:
        rows.append(("checkpoint", f"step {run.step:,}, {run.step * facts['tokens_per_step']:,} tokens: not the end"))
    spent = run.done.get("seconds") if run.step == facts["steps_total"] else None
    commit = facts["git_sha"][:12] + (" with changes" if facts["dirty"] else "")
    return [
        *rows,
        ("resolved", described(facts["resolved"])),
        ("seed", str(facts["seed"])),
        ("code", f"commit {commit}" if facts["git_sha"] else "unknown"),
        ("run", f"{run.run_id}, started {facts['started']}" + (f", {spent / 3600:.2f} h" if spent else "")),
        ("stored as", f"{dtype}, adapter merged" if kind == "adapter" else dtype),
    ]


def text(run: Recorded) -> list[tuple[str, ...]]:
    """One row a corpus that the run trained on or was measured on."""
    last = run.last
    total = sum(last["tokens_by_corpus"].values())
    return [
        (
            name, share(tokens, total), f"{tokens:,}", f"{last['unique_tokens_by_corpus'].get(name, 0):,}",
            f"{last['epochs_by_corpus'][name]:.3g}" if name in last.get("epochs_by_corpus", {}) else "",
            run.facts["corpora"][name]["train"]["content_hash"][:12] if name in run.facts["corpora"] else "",
        )
        for name, tokens in sorted(last["tokens_by_corpus"].items())
    ]  # fmt: skip


def losses(run: Recorded) -> list[tuple[str, ...]]:
    """One row a corpus."""
    return [
        (
            loss.corpus, loss.split, f"{loss.before:.4f} ± {loss.before_se:.4f}",
            f"{loss.after:.4f} ± {loss.after_se:.4f}",
            f"{loss.after - loss.before:+.4f} ± {math.hypot(loss.before_se, loss.after_se):.4f}",
            f"{loss.after / math.log(2) / loss.bytes_per_token:.4f}",
        )
        for loss in run.losses()
    ]  # fmt: skip


def described(fields: Mapping[str, Any]) -> str:
    """'static, domain_share 0.5': the variant and the fields that are set."""
    said = [f"{key} {value}" for key, value in fields.items() if key not in BESIDES and value not in ("", None, {}, [])]
    return ", ".join([str(fields["variant"]), *said] if "variant" in fields else said)


def share(part: float, whole: float) -> str:
    """'25.0 %'"""
    return f"{100 * part / whole:.1f} %" if whole else "0.0 %"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table of escaped cells."""
    header = list(header)
    lines = [header, ["---"] * len(header), *([escaped(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(value: str) -> str:
    """One line of text that Markdown and HTML show as it is."""
    line = " ".join(str(value).split())
    return re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", html.escape(line, quote=False))
