"""Read runs or a table, fit a law to each corpus, answer the question: `python fit_law.py --help`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from cptlab.launch import launch

if TYPE_CHECKING:
    from cptlab.fit_config import FitConfig


def answer(config: FitConfig) -> list[str]:
    """Write recommendation.json, fit.json, comparison.json, observations.csv and the report; return the summary."""
    from cptlab.decisions.commands import command_of
    from cptlab.decisions.recommend import recommend
    from cptlab.decisions.summary import summary
    from cptlab.fitting.chosen import by_corpus, compare_with, comparison_lines, laws_for
    from cptlab.fitting.fit import fit, to_json
    from cptlab.fitting.table import left_out
    from cptlab.metrics.tasks import verdicts_of
    from cptlab.records.write_csv import write_csv

    source, question, folder = config.source, config.question, Path(config.out)
    verdicts = verdicts_of(Path(config.tasks[0]), Path(config.tasks[1])) if config.tasks else []
    rows = source.read()
    options = {"num_draws": config.num_draws, "seed": config.seed, "heldout": config.heldout}
    laws, compared = laws_for(config.law, rows, config.seed)
    question.refuse_unanswerable([law.of_table(rows.columns) for law in laws.values()], [rows] * len(laws))
    fits = {name: fit(law, rows, domain=name, **options) for name, law in laws.items()}
    auto = bool(compared)
    if config.compare and not auto:
        compared = compare_with(config.law, rows, config.seed)
    found = recommend(fits, question, source.sizes())
    found = dataclasses.replace(found, command=command_of(source, found.choice))

    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder / "recommendation.json")
    entries = [entry | {"n_definition": source.n_definition} for entry in to_json(fits.values(), found.level)]
    (folder / "fit.json").write_text(json.dumps(entries, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_csv(rows, folder / "observations.csv")
    (folder / "comparison.json").unlink(missing_ok=True)  # of an earlier answer
    if compared:
        text = json.dumps([one.to_json() for one in compared], indent=2, allow_nan=False) + "\n"
        (folder / "comparison.json").write_text(text, encoding="utf-8")

    first = [] if found.verdict == "run" else [command_of(source, run) for run in found.next_runs]
    lines = summary(fits, found, source.rule, left_out(rows, fits.values()), [command for command in first if command])
    lines += comparison_lines(compared, auto)
    if config.report:
        from cptlab.metrics.chains import streams_of
        from cptlab.metrics.of_run import metrics_of
        from cptlab.report.page import write_report

        facts = {"origin": rows.origin, "valid_rule": source.rule or None, "coverage": source.coverage()}
        runs, history = getattr(source, "usable", []), getattr(source, "base_lr_history", None)
        facts["metrics"] = [metrics_of(run, base_history=history) for run in runs]
        facts |= {"streams": streams_of(runs), "tasks": verdicts}
        lines.append(f"{'report':<14}{write_report(folder, rows, fits, found, facts, by_corpus(compared))}")
    if config.wandb:
        from cptlab.report.to_wandb import to_wandb

        lines.append(f"{'W&B':<14}{to_wandb(folder, config.wandb)}")
    return lines


def check(config: FitConfig) -> list[str]:
    """Hold a trained run against its prediction: write check.json, return the sentences.

    The prediction is that of the recommendation.json in `out` where it is about such a run; else the laws are fitted
    to the other runs.
    """
    from cptlab.decisions.check import earlier, held_against, without
    from cptlab.fitting.chosen import laws_for
    from cptlab.fitting.fit import fit

    folder = Path(config.out)
    own, others = without(config.source.read(), config.check)
    found = earlier(folder / "recommendation.json", own)
    if found is None:
        options = {"num_draws": config.num_draws, "seed": config.seed, "heldout": False}
        laws, _ = laws_for(config.law, others, config.seed)
        fits = {name: fit(law, others, domain=name, **options) for name, law in laws.items()}
        found = held_against(fits, own, config.question)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n"
    (folder / "check.json").write_text(text, encoding="utf-8")
    place = ", ".join(f"{name} {value:.6g}" for name, value in found.place.items())
    return [f"run {found.run} ({place}) against {found.against}", *found.sentences()]


def task(config: FitConfig) -> None:
    """One answer, in one folder; with `check`, how an earlier one came out."""
    print("\n".join(check(config) if config.check else answer(config)))


if __name__ == "__main__":
    launch(task, "fit_law")
