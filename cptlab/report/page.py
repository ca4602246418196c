"""One self-contained page: the recommendation first, then what it rests on, then where that came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cptlab.decisions.recommendation import Recommendation
from cptlab.fitting.fit import Fit
from cptlab.records.observations import Observations
from cptlab.report import tables
from cptlab.report.figures import figures, write_figures
from cptlab.report.grid import Story
from cptlab.report.style import Plot, svg


def write_report(
    folder: Path,
    observations: Observations,
    fits: Mapping[str, Fit],
    recommendation: Recommendation,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write `report.html` and `figures/*.png` into the folder; return the page's path.

    facts (each may be absent): title; left_out {reason: count}; valid_rule, the sentence that says which rows
    feed the law; coverage, a list of {num_params, share, status, seeds}; versions {name: version}; origin.
    The same arguments give the same bytes.
    """
    story = Story.of(observations, fits, recommendation, facts or {})
    plots = figures(story)
    folder.mkdir(parents=True, exist_ok=True)
    write_figures(plots, folder / "figures")
    path = folder / "report.html"
    path.write_text(render(story, plots), encoding="utf-8")
    return path


def render(story: Story, plots: list[Plot]) -> str:
    """The page as text; everything but our own SVG is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn = [
        {
            "key": plot.key,
            "title": plot.title,
            "caption": plot.caption,
            "panels": [(panel.alt, Markup(svg(panel, f"{plot.key}-{i}"))) for i, panel in enumerate(plot.panels)],
        }
        for plot in plots
    ]
    facts = story.facts
    title = str(facts.get("title") or tables.title(story))
    left_out = {**story.observations.left_out, **(facts.get("left_out") or {})}
    return environment.get_template("template.html").render(
        title=title,
        story=story,
        answer=story.recommendation,
        card=tables.card(story),
        plots=drawn,
        heldout=tables.heldout(story),
        baselines=[tables.BASELINES.get(name, name) for name in tables.baseline_names(story)],
        fits=tables.parameters(story),
        losses=tables.losses(story),
        left_out=left_out,
        valid_rule=facts.get("valid_rule"),
        provenance=_provenance(story),
    )


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
    known = {"title", "left_out", "valid_rule", "coverage", "versions", "origin"}
    return rows + [(str(name), str(value)) for name, value in facts.items() if name not in known]
