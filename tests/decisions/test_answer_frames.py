"""A recommendation in a notebook: asked by name, read as a frame, shown as a cell."""

import numpy as np
import pytest

import cptlab
from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.errors import UserError


def test_a_question_by_name_is_the_question_itself(lines):
    by_name = recommend(lines(), "tradeoff", general="general", max_general_rise=0.03)
    by_object = recommend(lines(), Tradeoff(general="general", max_general_rise=0.03))
    assert by_name.to_json() == by_object.to_json()
    assert by_name.choice["domain_share"] == pytest.approx(0.3)
    assert cptlab.Tradeoff is Tradeoff


@pytest.mark.parametrize(
    ("question", "fields", "words"),
    [
        ("tradeof", {}, "question=tradeof is not known. Did you mean tradeoff?"),
        ("tradeoff", {"max_general_ris": 1}, "question.max_general_ris is no field of question=tradeoff. Did you mean max_general_rise?"),
        (Tradeoff(), {"level": 0.5}, "level given beside a Tradeoff"),
        (Tradeoff, {}, "is not known"),
        ("tradeoff", {"level": 2}, "question.level is 2"),
    ],
    ids=["name", "field", "both", "class", "value"],
)  # fmt: skip
def test_a_mistaken_question_is_answered_by_one_sentence(lines, question, fields, words):
    with pytest.raises(UserError) as error:
        recommend(lines(), question, **fields)
    assert words in str(error.value)


def test_fits_are_given_by_corpus(lines):
    with pytest.raises(UserError, match=r"as cptlab\.fit_domains"):
        recommend(lines()["law"], "what_if", points=[{"domain_share": 0.1}])


def test_the_answer_is_a_frame(lines):
    found = recommend(lines(), "tradeoff", general="general")
    frame = found.to_frame()
    assert frame.loc["domain_share", "value"] == found.choice["domain_share"]
    assert tuple(frame.loc["domain_share", ["low", "high"]]) == found.interval["domain_share"]
    assert np.isnan(frame.loc["tokens", "low"])
    assert frame.loc["tokens", "unit"] == "token"
    low, mid, high = found.predicted["general"]
    assert frame.loc["loss_general", ["value", "low", "high", "base"]].tolist() == [mid, low, high, 2.0]
    assert frame.loc["loss_general", "change"] == pytest.approx(0.03)
    assert frame.loc["loss_law", "change"] == pytest.approx(3.7 / 4 - 1)
    assert not len(found.table_frame())


def test_points_that_were_asked_are_rows(lines):
    found = recommend(lines(), "what_if", general="general", points=[{"domain_share": 0.25}, {"domain_share": 0.5}])
    frame = found.table_frame()
    np.testing.assert_allclose(frame["law"], [3.75, 3.5])
    np.testing.assert_allclose(frame["general"], [2.05, 2.1])
    assert not len(found.to_frame())
    assert repr(found) == f"<Recommendation {found.verdict}: 2 rows>"


def test_an_abstention_has_an_empty_frame_and_says_why_in_its_cell(lines):
    found = recommend(lines(start=2.5), "tradeoff", general="general")
    assert found.verdict == "abstain"
    assert not len(found.to_frame())
    assert repr(found) == "<Recommendation abstain>"
    assert "abstain" in found._repr_html_()


def test_a_cell_shows_verdict_choice_and_binding_and_escapes(lines):
    found = recommend({"general": lines()["general"], "<b>x</b>": lines()["law"]}, "tradeoff", general="general")
    cell = found._repr_html_()
    assert "domain_share" in cell
    assert "binding" in cell
    assert "<b>x</b>" not in cell
    assert repr(found).startswith(f"<Recommendation {found.verdict}: domain_share 0.3 [")
    assert repr(found).endswith("at 90%>")
