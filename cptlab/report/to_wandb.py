"""An answer of fit_law.py at W&B: its files as an artifact, its figures on the page of a run."""

from __future__ import annotations

import re
from pathlib import Path

from cptlab.errors import UserError
from cptlab.records.wandb_address import why_silent

FILES = ("recommendation.json", "fit.json", "comparison.json", "observations.csv", "report.html", "figures/*.png")
SENDING = 600  # [s]


def to_wandb(folder: Path, place: str) -> str:
    """Log the answer in a folder; returns the sentence that says where it is.

    Nothing is lost where no server answers: the files lie in the folder, and `wandb sync` sends the run kept offline.
    """
    import wandb
    import wandb.errors

    entity, _, project = place.rpartition("/")
    why = why_silent(wandb.setup(settings=wandb.Settings(silent=True)).settings.base_url)
    files = sorted(file for pattern in FILES for file in folder.glob(pattern))
    try:
        run = wandb.init(
            project=project, entity=entity or None, job_type="fit_law", name=folder.name, dir=str(folder),
            mode="offline" if why else "online", settings=wandb.Settings(silent=True, console="off"),
        )  # fmt: skip
    except wandb.errors.Error as error:
        said = " ".join(str(error).split())[:160]
        raise UserError(
            f"wandb={place} could not start ({said}); log in, or leave wandb= empty: {folder} has it all"
        ) from error
    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", f"answer-{folder.name}"), type="answer")
    for file in files:
        artifact.add_file(str(file), name=str(file.relative_to(folder)))
    logged = run.log_artifact(artifact)
    run.log({f"figures/{file.stem}": wandb.Image(str(file)) for file in files if file.suffix == ".png"})
    if not why:
        logged.wait(timeout=SENDING)
    at = str(Path(run.settings.sync_dir))
    run.finish()
    if why:
        return f"W&B does not answer ({why}): kept offline; `wandb sync {at}` sends it"
    return f"{run.entity}/{project}, artifact {artifact.name}"
