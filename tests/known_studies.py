"""Study files for tests."""

import yaml


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
