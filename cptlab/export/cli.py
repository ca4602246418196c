"""`cptlab export RUN` and `cptlab lm-eval RUN --tasks FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

COMMANDS = ("export", "lm-eval")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Add both to the commands of `cptlab`."""
    export = commands.add_parser(
        "export", help="write a run, or a checkpoint of it, as a Hugging Face folder and check it"
    )
    export.add_argument("run", type=Path, help="run folder, e.g. runs/0123456789ab")
    export.add_argument("--to", type=Path, help="folder to write (default: <run>/export); it must be empty")
    export.add_argument("--dtype", default="fp32", help="fp32 (default) or bf16 weights")
    export.add_argument("--step", default="", help="N or latest: of a checkpoint (default: the run's final weights)")
    evaluate = commands.add_parser("lm-eval", help="run lm_eval on a run's export with task files of a local folder")
    evaluate.add_argument("run", type=Path, help="run folder, or any Hugging Face folder")
    evaluate.add_argument("--tasks", type=Path, required=True, help="folder of lm_eval task files (*.yaml)")
    evaluate.add_argument("--only", nargs="+", default=[], help="names of tasks (default: every task of the folder)")
    evaluate.add_argument("--fewshot", type=int, help="examples in the prompt (default: as each task says)")
    evaluate.add_argument("--limit", type=int, help="examples a task, for a try")
    evaluate.add_argument("--batch", type=int, default=8, help="rows of a forward pass (default 8)")
    evaluate.add_argument("--device", default="", help="cpu or cuda (default: cuda where there is one)")
    evaluate.add_argument("--to", type=Path, help="JSON file to write (default: <run>/lm_eval/<folder of tasks>.json)")
    evaluate.add_argument("--allow-code", action="store_true", help="run Python that task files name (!function)")


def run(options: argparse.Namespace) -> int:
    """The command's exit code."""
    if options.command == "lm-eval":
        from cptlab.export.evaluation import Choices, evaluate

        choices = Choices(
            only=tuple(options.only), fewshot=options.fewshot, limit=options.limit, batch=options.batch,
            device=options.device, allow_code=options.allow_code,
        )  # fmt: skip
        print(evaluate(options.run, options.tasks, choices, options.to))
        return 0
    from cptlab.export.folder import export

    done = export(options.run, options.to, options.dtype, options.step)
    print("\n".join([f"{done.folder}: {done.dtype} weights, configuration, tokenizer, README.md", *done.sentences()]))
    return 0
