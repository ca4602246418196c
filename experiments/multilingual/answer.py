"""Write answer.json and figures/ beside it: what each mixture gives a language and costs English, in bits per byte.

Usage: python experiments/multilingual/answer.py runs/multilingual
"""

import sys
from collections.abc import Callable, Mapping
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from cptlab.errors import argument, one_sentence
from cptlab.metrics.of_run import RunMetrics
from cptlab.metrics.over_seeds import BySeed, by_setting, each, over_seeds
from cptlab.records.run import write_whole
from cptlab.report.marks import Axis, Chart, Panel, Points, Rule
from cptlab.report.png import save_png
from cptlab.report.style import FOUR

LANGUAGES = ("french", "latin", "maori")
TOKENS = 491520
ALONE, ENGLISH, CODE = "alone", "half English", "a quarter code"
SHARE = {ALONE: 1.0, ENGLISH: 0.5, CODE: 0.75}  # of the language
Runs = Mapping[tuple[str, str, int], BySeed]  # (language, mixture, tokens) -> {seed: run}


def setting(config: Mapping[str, Any]) -> tuple[str, str, int]:
    """Language, mixture, tokens."""
    mixture, tokens = config["mixture"], int(float(config["tokens"]))
    if mixture["shares"]:
        return next(name for name in mixture["shares"] if name != "code"), CODE, tokens
    return mixture["domain"], ALONE if mixture["domain_share"] == 1 else ENGLISH, tokens


def bits(corpus: str) -> Callable[[RunMetrics], float]:
    """Last loss minus the base's [bit/byte]."""

    def of(run: RunMetrics) -> float:
        curve = run.curves[corpus]
        return float((curve.loss[-1] - curve.loss[0]) / (log(2) * curve.bytes_per_token[-1]))

    return of


def compare(runs: Runs, language: str, base: Mapping[str, float]) -> dict[str, Any]:
    """Change of the language, English and code by mixture; mixtures minus alone at equal tokens of both kinds."""
    corpora = (language, "general", "code")
    changes = {m: {corpus: each(runs[language, m, TOKENS], bits(corpus)) for corpus in corpora} for m in SHARE}
    found: dict[str, Any] = {
        "base": round(base[language], 4),
        "change": {m: {c: over_seeds(x).to_json() for c, x in by.items()} for m, by in changes.items()},
        "minus_alone_at_equal_tokens": {}, "minus_alone_at_equal_tokens_of_the_language": {},
    }  # fmt: skip
    for mixture in (ENGLISH, CODE):
        shorter = runs[language, ALONE, round(TOKENS * SHARE[mixture])]
        found["minus_alone_at_equal_tokens"][mixture] = {
            c: over_seeds(x, changes[ALONE][c]).to_json() for c, x in changes[mixture].items()
        }
        found["minus_alone_at_equal_tokens_of_the_language"][mixture] = {
            c: over_seeds(x, each(shorter, bits(c))).to_json() for c, x in changes[mixture].items()
        }
    return found


def chart(answer: Mapping[str, Any]) -> Chart:
    """Changes of the language and of English; mixtures against the language alone at equal tokens of it."""
    panels = []
    names = Axis("", names=[name.capitalize().replace("Maori", "Māori") for name in LANGUAGES])
    for corpus, title in (("", "The language: last loss − base"), ("general", "English: last loss − base")):
        marks = [
            _points(mixture, i, [answer[la]["change"][mixture][corpus or la] for la in LANGUAGES], not corpus)
            for i, mixture in enumerate(SHARE)
        ]
        panels.append(Panel(title, title, names, Axis("change", "bit/byte"), [Rule("y", 0, ""), *marks]))
    titles = {
        "minus_alone_at_equal_tokens": "The language: mixture − alone, equal tokens",
        "minus_alone_at_equal_tokens_of_the_language": "The same, equal tokens of the language",
    }
    for key, title in titles.items():
        marks = [_points(m, i, [answer[la][key][m][la] for la in LANGUAGES]) for i, m in enumerate(SHARE) if m != ALONE]
        panels.append(Panel(title, title, names, Axis("difference", "bit/byte"), [Rule("y", 0, ""), *marks]))
    return Chart("mixtures", "Mixtures", "95 % intervals over seeds.", panels)


def _points(mixture: str, place: int, found: list[dict[str, float]], legend: bool = False) -> Points:
    value = np.array([x["value"] for x in found])
    error = np.array([[x["value"] - x["low"], x["high"] - x["value"]] for x in found]).T
    at = np.arange(float(len(found))) + 0.18 * (place - 1)
    return Points(at, value, mixture, FOUR[place], "osD"[place], 5, y_error=error, legend=legend)


def main(path: str, target: Path) -> None:
    """Read, compare, draw."""
    runs = by_setting(path, setting)
    first = next(iter(runs["french", ALONE, TOKENS].values())).curves
    base = {name: float(c.loss[0] / (log(2) * c.bytes_per_token[0])) for name, c in first.items()}
    languages = {language: compare(runs, language, base) for language in LANGUAGES}
    answer = {
        "unit": "bit/byte", "num_runs": sum(map(len, runs.values())), "tokens": TOKENS,
        "base_english": round(base["general"], 4), "languages": languages,
    }  # fmt: skip
    write_whole(target / "answer.json", answer)
    (target / "figures").mkdir(exist_ok=True)
    save_png(chart(languages), target / "figures")


if __name__ == "__main__":
    with one_sentence():
        main(argument(1, "the folder of the runs"), Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parent)
