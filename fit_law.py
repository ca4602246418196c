"""Read runs or a table, fit a law to each corpus, answer the question: `python fit_law.py --help`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cptlab.launch import launch

if TYPE_CHECKING:
    from cptlab.fit_config import FitConfig
    from cptlab.records.source import Source


def answer(config: FitConfig) -> list[str]:
    """Write recommendation.json, fit.json, observations.csv and the report; return the summary's lines."""
    from cptlab.decisions.recommend import recommend
    from cptlab.decisions.summary import summary
    from cptlab.fitting.fit import fit, to_json
    from cptlab.fitting.table import left_out
    from cptlab.records.write_csv import write_csv

    source, question, folder = config.source, config.question, Path(config.out)
    rows = source.read()
    options = {"num_draws": config.num_draws, "seed": config.seed, "heldout": config.heldout}
    fits = {name: fit(config.law, rows, domain=name, **options) for name in rows.domains}
    found = recommend(fits, question, source.sizes())
    found = dataclasses.replace(found, command=_command(source, found.choice))

    folder.mkdir(parents=True, exist_ok=True)
    found.write(folder / "recommendation.json")
    entries = [entry | {"n_definition": source.n_definition} for entry in to_json(fits.values(), found.level)]
    (folder / "fit.json").write_text(json.dumps(entries, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    write_csv(rows, folder / "observations.csv")

    first = [] if found.verdict == "run" else [_command(source, run) for run in found.next_runs]
    lines = summary(fits, found, source.rule, left_out(rows, fits.values()), [command for command in first if command])
    if config.report:
        from cptlab.report.page import write_report

        facts = {"origin": rows.origin, "valid_rule": source.rule or None, "coverage": source.coverage()}
        lines.append(f"{'report':<14}{write_report(folder, rows, fits, found, facts)}")
    return lines


def _command(source: Source, run: Mapping[str, Any]) -> str | None:
    """train.py command of a choice or of a next run, from the overrides of the nearest recorded run."""
    from cptlab.decisions.next_runs import train_command

    sizes = {name: num_params for num_params, name in source.sizes().items()}
    share = run.get("domain_share", run.get("mixture.domain_share"))
    rate = run.get("peak_lr", run.get("optimizer.peak_lr"))
    schedule = run.get("schedule", run.get("lr_schedule"))
    tokens, num_params = run.get("tokens"), run.get("num_params", sizes.get(run.get("model.size", "")))
    overrides = source.overrides(num_params, tokens) if num_params and tokens else None
    if overrides is None or share is None:
        return None
    changes = {"mixture.domain_share": round(share, 4), "tokens": tokens}
    changes |= {} if rate is None else {"optimizer.peak_lr": rate}
    changes |= {} if schedule is None else {"lr_schedule": schedule}
    return train_command(overrides, changes)


def check(config: FitConfig) -> list[str]:
    """Hold a trained run against its prediction: write check.json, return the sentences.

    The prediction is that of the recommendation.json in `out` where it is about such a run; else the laws are fitted
    to the other runs.
    """
    from cptlab.decisions.check import earlier, held_against, without
    from cptlab.fitting.fit import fit

    folder = Path(config.out)
    own, others = without(config.source.read(), config.check)
    found = earlier(folder / "recommendation.json", own)
    if found is None:
        options = {"num_draws": config.num_draws, "seed": config.seed, "heldout": False}
        fits = {name: fit(config.law, others, domain=name, **options) for name in others.domains}
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
