"""The card on top of a page: headline, tiles of predicted losses, reasons, next runs."""

from typing import Any

import numpy as np

from cptlab.report.grid import Story
from cptlab.report.loss_table import bytes_per_token
from cptlab.report.style import count, percent
from cptlab.report.words import interval, number, share_interval, signed, significant

TITLES = {
    "limited_domain_tokens": "How far to stretch the {domain} text",
    "compute_optimal": "Which size and how many tokens for the compute",
    "reach_target": "The shortest run to the target on {domain}",
    "what_if": "What the laws predict",
    "critical_ratio": "The critical share of {domain}",
    "lr_and_ratio": "Which learning rate and share of {domain}",
    "schedule": "Which learning-rate schedule",
    "shares": "Which shares of the corpora",
}


def title(story: Story) -> str:
    """The question in words."""
    asked = str(story.recommendation.question.get("variant", ""))
    return TITLES.get(asked, "How much {domain} to train on").replace("{domain}", story.domain)


def card(story: Story) -> dict[str, Any]:
    """Headline, tiles of predicted losses, reasons and next runs."""
    answer = story.recommendation
    chosen, low_high = story.chosen, answer.interval.get("domain_share")
    verdicts = {"run": "Train this", "measure_first": "Measure first", "abstain": "No recommendation"}
    if answer.table and not answer.choice:
        verdicts |= {"run": "Predicted"}
    return {
        "verdict": answer.verdict,
        "badge": verdicts[answer.verdict],
        "share": percent(chosen) if chosen is not None else None,
        "picks": _picks(story),
        "chooses": bool(answer.choice) or not answer.table,
        "of_share": answer.question.get("variant", "tradeoff") in ("tradeoff", "critical_ratio"),
        "table": _table(answer.table),
        "interval": share_interval(*low_high) if low_high is not None else None,
        "level": percent(answer.level),
        "size": count(answer.choice["num_params"]) if "num_params" in answer.choice else None,
        "tokens": count(answer.choice["tokens"]) if "tokens" in answer.choice else None,
        "limit": answer.question.get("max_general_rise"),
        "tiles": [_tile(story, corpus) for corpus in story.corpora if corpus in answer.predicted],
        "next_runs": [" ".join(f"{k}={_plain(v)}" for k, v in run.items()) for run in answer.next_runs],
    }


NAMES = {
    "num_params": "parameters", "tokens": "CPT tokens", "peak_lr": "peak LR", "schedule": "LR schedule",
    "potential": "loss potential of the base",
}  # fmt: skip


def _picks(story: Story) -> list[tuple[str, str, str]]:
    """(name, value, interval) of every chosen quantity but the share; nothing where the share alone is chosen."""
    answer = story.recommendation
    chosen = [name for name in answer.choice if name in answer.interval or isinstance(answer.choice[name], str)]
    picks = []
    for name in chosen:
        if name == "domain_share":
            continue
        value, ends = answer.choice[name], answer.interval.get(name)
        text = f"[{_quantity(name, ends[0])}, {_quantity(name, ends[1])}]" if ends else ""
        picks.append((NAMES.get(name, name.replace("_", " ")), _quantity(name, value), text))
    return picks


def _quantity(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if name.endswith("share") or name.startswith("share_"):
        return percent(value)
    return count(value) if abs(value) >= 1000 else significant(value)


def _table(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The answer's table: an interval behind each predicted value; None where there is none."""
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row))
    values = [name for name in names if not (name.removesuffix("_low") in names and name.endswith("_low"))]
    values = [name for name in values if not (name.removesuffix("_high") in names and name.endswith("_high"))]

    def cell(row: dict[str, Any], name: str) -> str:
        if row.get(name) is None:
            return "–"
        if f"{name}_low" in row:
            return f"{number(row[name], 4)} {interval(row[f'{name}_low'], row[f'{name}_high'])}"
        return _quantity(name, row[name])

    heads = [NAMES.get(name, name.replace("_", " ")) for name in values]
    return {"heads": heads, "rows": [[cell(row, name) for name in values] for row in rows]}


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6g}"
    return str(value)


def _tile(story: Story, corpus: str) -> dict[str, Any]:
    answer = story.recommendation
    low, middle, high = answer.predicted[corpus]
    base, per_token = answer.base_loss.get(corpus), bytes_per_token(story, corpus)
    role = "general corpus" if corpus == story.general else "domain" if corpus == story.domain else "corpus"
    units = {"nat/token": 1.0} | ({} if per_token is None else {"bit/byte": 1 / np.log(2) / per_token})
    rows = [("predicted", [(number(u * middle), interval(u * low, u * high)) for u in units.values()])]
    tile: dict[str, Any] = {"corpus": corpus, "role": role, "units": list(units), "rows": rows}
    if base is not None:
        deltas = [(u * (low - base), u * (middle - base), u * (high - base)) for u in units.values()]
        rows.insert(0, ("base", [(number(u * base), "") for u in units.values()]))
        rows.append(("change", [(signed(b), interval(a, c, signed)) for a, b, c in deltas]))
        tile["relative"] = signed(100 * (middle / base - 1), 1) + " %"
        ends = 100 * (low / base - 1), 100 * (high / base - 1)
        tile["relative_interval"] = f"[{signed(ends[0], 1)}, {signed(ends[1], 1)}]"
    return tile
