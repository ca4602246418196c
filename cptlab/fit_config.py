"""The whole of fit_law.py on one screen, typed; `cptlab.config.register()` hands it to Hydra."""

import re
from dataclasses import dataclass, field

from omegaconf import MISSING

from cptlab.decisions.question import Question
from cptlab.errors import UserError
from cptlab.laws.base import Law
from cptlab.records.source import Source


@dataclass
class FitConfig:
    """What is read, which law is fitted, what is asked, where the answer is written."""

    law: Law = MISSING
    source: Source = MISSING
    question: Question = MISSING
    out: str = "fits/latest"  # folder of the answer; files of an earlier answer there are replaced
    num_draws: int = 500  # refits behind every interval, each with its own weights of the runs
    seed: int = 0  # of the draws
    heldout: bool = True  # refit with runs left out to measure the error; off: no claim of accuracy
    compare: bool = True  # hold the law against all others on held-out rows (seconds), as law=auto always does
    report: bool = True  # write report.html and its figures
    tasks: list[str] = field(default_factory=list)  # [BASE,ADAPTED], item scores for the report: win, tie, loss a task
    wandb: str = ""  # project or entity/project of W&B that gets the answer and its figures as an artifact, too
    check: str = ""  # id of a trained run: hold it against the interval that was predicted for it, fit without it

    def __post_init__(self) -> None:
        if self.num_draws < 20:
            raise UserError(f"num_draws is {self.num_draws}; an interval needs 20 or more")
        if not self.out.strip():
            raise UserError("out is empty; give a folder: out=fits/mine")
        if len(self.tasks) not in (0, 2):
            raise UserError(f"tasks has {len(self.tasks)} entries; give the item scores of two models: [BASE,ADAPTED]")
        if self.tasks and (self.check or not self.report):
            raise UserError(
                f"tasks are drawn in the report, which {'check' if self.check else 'report=false'} leaves out; drop"
                " one of the two"
            )
        if self.wandb and not re.fullmatch(r"([\w.-]+/)?[\w.-]+", self.wandb):
            raise UserError(f"wandb is {self.wandb!r}; give project or entity/project, or leave it empty")
        asked, read = (getattr(part, "anneal_decay", None) for part in (self.question, self.source))
        if asked is not None and read is not None and asked != read:
            raise UserError(
                f"question.anneal_decay is {asked:g} but source.anneal_decay is {read:g}; the annealing areas of the"
                " table and of the question must have one lambda, so give both the same"
            )
