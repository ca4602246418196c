"""The answer to every question becomes a page."""

import pytest
from test_page import Balance

from cptlab.decisions.compute_optimal import ComputeOptimal
from cptlab.decisions.critical_ratio import CriticalRatio
from cptlab.decisions.limited_domain_tokens import LimitedDomainTokens
from cptlab.decisions.reach_target import ReachTarget
from cptlab.decisions.recommend import recommend
from cptlab.decisions.what_if import WhatIf
from cptlab.report.figures import drawn, figures
from cptlab.report.grid import Story
from cptlab.report.page import render

ASKED = {
    "limited": (
        LimitedDomainTokens(domain_tokens=3e5, general="general", domain="code"),
        "How far to stretch the code text",
    ),
    "compute": (ComputeOptimal(flops=6e11, max_general_rise=0.05, general="general", domain="code"), "Which size"),
    "target": (
        ReachTarget(target_loss=3.4, max_general_rise=0.1, general="general", domain="code"),
        "The shortest run",
    ),
    "critical": (CriticalRatio(tolerance=0.05, lam=1, general="general", domain="code"), "The critical share of code"),
    "what_if": (WhatIf(points=[{"domain_share": 0.3}, {"domain_share": 0.6, "tokens": 5e5}]), "What the laws predict"),
    "abstain": (ReachTarget(target_loss=0.1, general="general", domain="code"), "These fits allow no answer."),
}


@pytest.mark.parametrize("name", ASKED)
def test_every_answer_renders(study, name):
    observations, fits, _, _ = study
    question, words = ASKED[name]
    answer = recommend(fits, question)
    assert (answer.verdict == "abstain") == (name == "abstain"), answer.because
    story = Story.of(observations, fits, answer, {})
    sections = figures(story)
    text = render(story, sections)
    parser = Balance()
    parser.feed(text)
    assert not parser.wrong
    assert not parser.open
    assert words in text
    assert "nan" not in text[: text.index("What was measured")].split("</style>")[1].lower().replace("nano", "")
    assert ("profile" in {chart.key for chart in drawn(sections)}) == (name in ("compute", "target"))
