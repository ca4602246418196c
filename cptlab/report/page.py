"""One self-contained page: the recommendation first, then what it rests on, then where that came from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cptlab.decisions.recommendation import Recommendation
from cptlab.fitting.fit import Fit
from cptlab.records.observations import Observations
from cptlab.report import card, fit_tables, loss_table
from cptlab.report.chart_table import chart_table
from cptlab.report.comparison import comparison as compared
from cptlab.report.edges import edges
from cptlab.report.figures import drawn, figures, write_figures
from cptlab.report.grid import Story
from cptlab.report.interactive import interactive, plotly_script
from cptlab.report.marks import Chart, Omitted
from cptlab.report.metrics_table import metrics_table

HERE = Path(__file__).parent


def write_report(
    folder: Path,
    observations: Observations,
    fits: Mapping[str, Fit],
    recommendation: Recommendation,
    facts: Mapping[str, Any] | None = None,
    comparison: Any = None,
) -> Path:
    """Write `report.html` and `figures/*.png` into the folder; return the page's path.

    facts (each may be absent): title; left_out {reason: count}; valid_rule, the sentence that says which rows
    feed the law; coverage, a list of {num_params, share, status, seeds}; versions {name: version}; origin; metrics, a
    list of `cptlab.metrics.of_run.RunMetrics`; streams, of `cptlab.metrics.chains.Stream`; tasks, of
    `cptlab.metrics.paired.Verdict`.
    comparison: of laws, an object with `.table()` (a list of rows), `.left_out` {law: reason} and `.why`; one for
    all corpora, or corpus -> one. The same arguments give the same bytes.
    """
    story = Story.of(observations, fits, recommendation, facts or {}, comparison)
    sections = figures(story)
    folder.mkdir(parents=True, exist_ok=True)
    write_figures(drawn(sections), folder / "figures")
    path = folder / "report.html"
    path.write_text(render(story, sections), encoding="utf-8")
    return path


def render(story: Story, sections: Mapping[str, list[Chart | Omitted]]) -> str:
    """The page as text; everything but our own style, script and figures' data is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    data: list[dict[str, Any]] = []
    shown = [
        (section, [_figure(chart, data) for chart in charts if isinstance(chart, Chart)],
         [chart for chart in charts if isinstance(chart, Omitted)])
        for section, charts in sections.items()
    ]  # fmt: skip
    facts = story.facts
    return environment.get_template("template.html").render(
        title=str(facts.get("title") or card.title(story)),
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(plotly_script()),
        data=Markup(_json(data)),
        story=story,
        answer=story.recommendation,
        card=card.card(story),
        edges=edges(story),
        sections=shown,
        heldout=fit_tables.heldout(story),
        baselines=fit_tables.baseline_heads(story),
        fits=fit_tables.parameters(story),
        comparison=compared(story),
        losses=loss_table.losses(story),
        metrics=metrics_table(facts.get("metrics") or []),
        left_out={**story.observations.left_out, **(facts.get("left_out") or {})},
        valid_rule=facts.get("valid_rule"),
        provenance=_provenance(story),
    )


def _figure(chart: Chart, data: list[dict[str, Any]]) -> dict[str, Any]:
    """A chart for the template; its panels' plotly figures are appended to `data`."""
    panels = []
    for panel in chart.panels:
        heads, rows, more = chart_table(panel)
        data.append(interactive(panel))
        panels.append(
            {"title": panel.title, "alt": panel.alt, "at": len(data) - 1, "height": data[-1]["layout"]["height"]}
            | {"table": {"heads": heads, "rows": rows, "more": more}}
        )
    return {"key": chart.key, "title": chart.title, "caption": chart.caption, "panels": panels}


def _json(data: Any) -> str:
    """JSON that no HTML parser can take for a tag or the end of a script."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _provenance(story: Story) -> list[tuple[str, str]]:
    facts, table = story.facts, story.observations
    rows = [
        ("Source", str(facts.get("origin") or table.origin)),
        ("Runs", str(len(set(table.run.tolist())))),
        ("Rows", str(len(table))),
        ("Corpora", ", ".join(story.corpora)),
        ("Bases", ", ".join(sorted({base for base in table.base.tolist() if base})) or "not recorded"),
    ]
    rows += [(str(name), str(version)) for name, version in (facts.get("versions") or {}).items()]
    known = {"title", "left_out", "valid_rule", "coverage", "versions", "origin", "metrics", "streams", "tasks"}
    return rows + [(str(name), str(value)) for name, value in facts.items() if name not in known]
