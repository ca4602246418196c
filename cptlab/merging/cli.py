"""`cptlab merge METHOD MODEL... --to FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cptlab.merging.recipe import ALIASES, METHODS


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add `merge` to the commands of `cptlab`."""
    merge = commands.add_parser("merge", help="merge Hugging Face folders or runs into one model, tensor by tensor")
    methods = merge.add_subparsers(dest="method", required=True)
    for method, formula in METHODS.items():
        aliases = [alias for alias, name in ALIASES.items() if name == method]
        parser = methods.add_parser(method, help=formula, description=f"{method}: {formula}", aliases=aliases)
        parser.add_argument("models", type=Path, nargs="+", help="Hugging Face or run folders")
        parser.add_argument("--to", type=Path, required=True, help="folder to write; new or empty")
        parser.add_argument("--dtype", default="", help="fp32, bf16 or fp16 (default: the first model's)")
        parser.add_argument(
            "--keep-embeddings", action="store_true", help="input embeddings and head stay the first model's"
        )
        if method == "linear":
            parser.add_argument("--weights", type=float, nargs="+", required=True, help="one a model; they sum to 1")
        if method == "slerp":
            parser.add_argument("--t", type=float, default=0.5, help="0 = first model, 1 = second (default 0.5)")
        if method in ("ties", "chat-vector"):
            parser.add_argument("--base", type=Path, required=True, help="what the models were trained from")
        if method == "ties":
            parser.add_argument("--density", type=float, default=0.2, help="share of a change kept (default 0.2)")
            parser.add_argument("--scale", type=float, default=1.0, help="of the merged change (default 1)")
        if method == "chat-vector":
            parser.add_argument("--instruct", type=Path, required=True, help="the base after instruction tuning")
            parser.add_argument("--weight", type=float, default=1.0, help="of instruct - base (default 1)")


def run(options: argparse.Namespace) -> int:
    """The command's exit code."""
    from cptlab.merging.merge import merge
    from cptlab.merging.recipe import Recipe

    names = ("base", "instruct", "t", "density", "scale")
    given = {name: getattr(options, name) for name in names if hasattr(options, name)}
    weights = tuple(getattr(options, "weights", ())) or ((options.weight,) if hasattr(options, "weight") else ())
    method = str(ALIASES.get(options.method, options.method))
    recipe = Recipe(method, tuple(options.models), weights=weights, **given)
    done = merge(recipe, options.to, options.dtype, options.keep_embeddings)
    kept = f", {done.kept} of them as in the first model" if done.kept else ""
    print(f"{done.folder}: {done.tensors} tensors{kept}, configuration, tokenizer, README.md")
    return 0
