"""Study files for tests."""

import yaml

from cptlab.sweeps.planned import PlannedPoint


def with_bases(folder, study, seeds=(0,)):
    """Write a study of so many seeds whose one base is a grid's, all in `folder`; what its points need beside it."""
    own = [*(each for each in study if not each.startswith(("runs=", "model.base_run="))), f"runs={folder}/runs"]
    fixed = {key: yaml.safe_load(value) for key, value in (each.split("=", 1) for each in own)}
    base = {"points": [fixed | {"mixture": "general_only", "model.base_run": ""}]}
    grid = {
        "name": "mine",
        "bases": {"grid": "bases.yaml", "as": f"{folder}/bases/{{model.width}}"},
        "fixed": {"model.base_run": f"{folder}/bases/8"},
        "seeds": list(seeds),
    }
    (folder / "bases.yaml").write_text(yaml.safe_dump(base))
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    return own


def point(number=0, folder="runs", tokens=1000, flops_per_token=6.0, devices=1, **more):
    """A planned point that was never opened."""
    known = dict(
        run_id=f"id{number}", folder=f"{folder}/id{number}", overrides=[f"seed={number}", "tokens=1e3"], num_params=1,
        num_params_total=1, tokens=tokens, steps=10, tokens_per_step=100, flops_per_token=flops_per_token,
        eval_tokens=0, disk=100, kept=40, devices=devices, threads=1, gpu=False, precision="fp32",
    )  # fmt: skip
    return PlannedPoint(**known | more)
