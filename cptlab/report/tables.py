"""The words and numbers of a report: every function returns plain strings and lists for the template."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from cptlab.report.grid import Story, repeats
from cptlab.report.style import count, percent

PROTOCOLS = {
    "ratio": "one interior share left out in turn",
    "ratio_ends": "an end share left out (extrapolation)",
    "tokens": "the last third of the tokens left out",
    "size": "the largest size left out (extrapolation)",
}
BASELINES = {"nearest_run": "nearest run", "quadratic": "quadratic in share", "no_law": "no law"}


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


def number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals with a real minus sign; a dash for what is absent or not finite."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """Like `number`, with a plus sign for what rose."""
    return ("+" if round(value, digits) > 0 else "") + number(value, digits)


def significant(value: float) -> str:
    """Four significant digits, for parameters of any scale."""
    return f"{value:.4g}".replace("-", "−") if np.isfinite(value) else ("∞" if value > 0 else "–")


def share_interval(low: float, high: float) -> str:
    """'[47, 56]' in percent, one decimal where the interval is narrower than two points."""
    digits = 0 if 100 * (high - low) >= 2 else 1
    return f"[{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


def bytes_per_token(story: Story, corpus: str) -> float | None:
    """Mean UTF-8 bytes a token of the corpus; None where the table does not know."""
    if "bytes_per_token" not in story.observations.columns:
        return None
    values = story.rows(corpus)["bytes_per_token"]
    return float(np.mean(values)) if len(values) and np.isfinite(values).all() else None


def bits(loss: float, per_token: float | None) -> str | None:
    """Bits per byte of a loss in nat/token; None where the bytes are not known."""
    return None if per_token is None else number(loss / np.log(2) / per_token)


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
            return f"{number(row[name], 4)} {_range(row[f'{name}_low'], row[f'{name}_high'])}"
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
    rows = [("predicted", [(number(u * middle), _range(u * low, u * high)) for u in units.values()])]
    tile: dict[str, Any] = {"corpus": corpus, "role": role, "units": list(units), "rows": rows}
    if base is not None:
        deltas = [(u * (low - base), u * (middle - base), u * (high - base)) for u in units.values()]
        rows.insert(0, ("base", [(number(u * base), "") for u in units.values()]))
        rows.append(("change", [(signed(b), _range(a, c, signed)) for a, b, c in deltas]))
        tile["relative"] = signed(100 * (middle / base - 1), 1) + " %"
        ends = 100 * (low / base - 1), 100 * (high / base - 1)
        tile["relative_interval"] = f"[{signed(ends[0], 1)}, {signed(ends[1], 1)}]"
    return tile


def _range(low: float, high: float, write: Any = number) -> str:
    return f"[{write(low)}, {write(high)}]"


def heldout(story: Story) -> list[dict[str, Any]]:
    """A row for each corpus and protocol: the law's error beside the baselines' and the seed noise."""
    rows = []
    for corpus, fit in story.fits.items():
        for protocol in dict.fromkeys([*PROTOCOLS, *fit.heldout]):
            error = fit.heldout.get(protocol)
            if error is None or not error.num_points:
                continue
            others = {name: by[protocol] for name, by in fit.baselines.items() if protocol in by}
            nearest = others.get("nearest_run")
            known = nearest is not None and nearest.rmse > 0
            rows.append(
                {
                    "corpus": corpus,
                    "protocol": PROTOCOLS.get(protocol, protocol),
                    "points": error.num_points,
                    "law": number(1000 * error.rmse, 1),
                    "others": [
                        number(1000 * others[name].rmse, 1) if name in others else "–" for name in baseline_names(story)
                    ],
                    "ratio": number(error.rmse / nearest.rmse, 2) if known and nearest else "–",
                    "mape": number(100 * error.mape, 2) + " %",
                    "r2": number(error.r2),
                    "r2_delta": number(error.r2_delta),
                    "seed_noise": "–" if fit.seed_noise is None else number(1000 * fit.seed_noise, 1),
                }
            )
    return rows


def baseline_names(story: Story) -> list[str]:
    """Every baseline that some fit was held against."""
    return list(dict.fromkeys(name for fit in story.fits.values() for name in fit.baselines))


def parameters(story: Story) -> list[dict[str, Any]]:
    """A block for each fit: formula, quality, parameters with intervals, what the data cannot tell apart."""
    blocks = []
    for corpus, fit in story.fits.items():
        declared: Mapping[str, Any] = {**fit.law.linear, **fit.law.shape}
        weak, unknown = set(fit.identifiability.at_bound), set(fit.identifiability.unknown)
        rows = []
        for name, value in fit.parameters.items():
            low, high = fit.interval(name, story.recommendation.level) if fit.num_draws else (np.nan, np.nan)
            unit = getattr(declared.get(name), "unit", "")
            note = "at its bound" if name in weak else "not identified" if name in unknown else ""
            rows.append([name, significant(value), f"[{significant(low)}, {significant(high)}]", unit, note])
        blocks.append(
            {
                "corpus": corpus,
                "law": fit.law_name,
                "formula": (type(fit.law).__doc__ or "").strip().splitlines()[:1],
                "rows": rows,
                "success": fit.success,
                "message": fit.message,
                "facts": f"{fit.num_runs} runs, {fit.num_points} rows, R² {number(fit.r2, 4)} on them, "
                f"{fit.num_draws} bootstrap draws over whole runs, "
                f"condition number {significant(fit.identifiability.condition)}",
                "sentences": [s[:1].upper() + s[1:] for s in fit.identifiability.sentences],
            }
        )
    return blocks


def losses(story: Story) -> dict[str, Any]:
    """Final losses: a row for each size and share, and for each corpus loss, bits per byte and change."""
    corpora = [c for c in story.corpora if len(story.rows(c))]
    per_token = {c: bytes_per_token(story, c) for c in corpora}
    heads = {c: ["nat/token"] + ["bit/byte"] * (per_token[c] is not None) for c in corpora}
    if story.has_base:
        heads = {c: [*names, "change", "change %"] for c, names in heads.items()}
    rows = []
    for size in story.sizes:
        finals = {c: story.final(c, size) for c in corpora}
        first = finals[corpora[0]]
        for at in repeats(story.x(first)):
            share, cells = float(story.x(first)[at].mean()), []
            for c in corpora:
                table = finals[c].where(np.isin(finals[c].run, first.run[at]))
                cells += _loss_cells(table, len(heads[c]), per_token[c], story.has_base)
            rows.append([count(size) if np.isfinite(size) else "–", percent(share), str(len(at)), *cells])
    return {"corpora": [(c, heads[c]) for c in corpora], "rows": rows}


def _loss_cells(table: Any, width: int, per_token: float | None, has_base: bool) -> list[str]:
    if not len(table):
        return ["–"] * width
    loss = float(table["loss"].mean())
    spread = f" ± {number(float(table['loss'].std(ddof=1)))}" if len(table) > 1 else ""
    cells = [number(loss) + spread]
    if per_token is not None:
        cells.append(str(bits(loss, per_token)))
    if has_base:
        base = float(table["base_loss"].mean())
        cells += [signed(loss - base), signed(100 * (loss / base - 1), 1)]
    return cells
