"""A law that cannot answer a question is refused with what can: another law, or a question that it does answer."""

import pytest

from cptlab.decisions.answerable import refuse_unread
from cptlab.errors import UserError
from cptlab.laws import known_laws
from cptlab.variants import discover_group

SCHEDULE = "ask question=schedule"


def told(question, law, **fields):
    with pytest.raises(UserError) as refused:
        discover_group("question")[question](**fields).refuse_unanswerable([known_laws()[law]()], [])
    return str(refused.value)


@pytest.mark.parametrize("law", ["cpt_dynamics", "annealing", "multi_power"])
@pytest.mark.parametrize("question", ["tradeoff", "critical_ratio", "shares"])
def test_a_law_of_the_history_of_learning_rates_is_offered_the_question_that_it_answers(law, question):
    said = told(question, law)
    assert said.startswith(f"law={law} does not read a share of the corpora, so every mixture is one to it; fit one ")
    assert said.endswith(SCHEDULE)
    schedule = discover_group("question")["schedule"]()
    assert refuse_unread(schedule.needs, [known_laws()[law]()]) is None


def test_other_laws_and_that_question_itself_are_not_offered_it():
    assert SCHEDULE not in told("tradeoff", "chinchilla")
    assert SCHEDULE not in told("schedule", "dcpt")
    assert SCHEDULE not in told("schedule", "annealing", potentials=[0.1], base_peak_lr=1e-3, base_tokens=1e6)
