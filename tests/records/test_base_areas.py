import numpy as np
import pytest

import cptlab
from cptlab.decisions.schedule import Schedule
from cptlab.errors import UserError
from cptlab.fit_config import FitConfig
from cptlab.laws.cpt_dynamics import CPTDynamics
from cptlab.models.base import history_of_run
from cptlab.records.base_areas import base_areas
from cptlab.records.read_runs import Runs


def test_areas_of_a_wsd_base_worked_by_hand():
    """10 steps of 10 tokens: 2 of warm-up, 4 at the peak of 1, 4 down to 0."""
    schedule = {"variant": "wsd", "warmup_tokens": 20, "decay_share": 0.4, "floor": 0.0}
    base = {"lr_history": {"peak_lr": 1.0, "schedule": schedule}, "tokens": 100, "step": 10}
    rates = [0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]
    drops = [0.25 * sum(0.999**j for j in range(k)) for k in range(1, 5)]
    got = base_areas(base)
    assert got["base_lr_area"] == pytest.approx(sum(rates))
    assert got["base_anneal_area"] == pytest.approx(np.sum(drops))


def test_a_base_without_history_has_no_areas():
    assert base_areas({"kind": "pretrained", "weights_sha256": "ab", "lr_history": None, "tokens": None}) == {}


STAGE = {"peak_lr": 1.0, "tokens": 100, "tokens_per_step": 10, "schedule": {"variant": "constant"}}


def test_the_record_of_a_base_tells_its_own_length_and_that_of_its_base():
    facts = {"peak_lr": 2.0, "schedule": {"variant": "constant"}, "tokens_per_step": 10, "tokens_total": 50}
    first = history_of_run(facts | {"base": {"kind": "scratch"}})
    assert base_areas({"lr_history": first})["base_lr_area"] == pytest.approx(10)
    old = {
        "kind": "run",
        "tokens": 100,
        "step": 10,
        "lr_history": {"peak_lr": 1.0, "schedule": {"variant": "constant"}},
    }
    second = history_of_run(facts | {"base": old})
    assert base_areas({"lr_history": second})["base_lr_area"] == pytest.approx(10 + 10)


def test_a_declared_history_stands_where_the_recorded_one_begins_at_something_unknown():
    facts = {"peak_lr": 2.0, "schedule": {"variant": "constant"}, "tokens_per_step": 10, "tokens_total": 50}
    base = {"lr_history": history_of_run(facts | {"base": {"kind": "pretrained", "lr_history": None}})}
    assert base_areas(base) == {}
    assert base_areas(base, declared=STAGE)["base_lr_area"] == pytest.approx(10 + 10)
    assert base_areas({"lr_history": None}, declared=STAGE)["base_lr_area"] == pytest.approx(10)
    known = {"lr_history": history_of_run(facts | {"base": {"kind": "scratch"}})}
    assert base_areas(known, declared=STAGE)["base_lr_area"] == pytest.approx(10)


def test_a_law_that_needs_the_history_of_a_base_says_how_to_declare_it(make_run, tmp_path):
    area = np.arange(1, 11) * 1e-3
    for i in range(2):
        make_run(f"r{i}", areas=(area, 0 * area), peak_lr=1e-3)
    source = Runs(path=str(tmp_path / "runs"))
    with pytest.raises(UserError, match=r"no column base_lr_area.*declare it.*source\.base_lr_history.*law\.open_base"):
        cptlab.fit("cpt_dynamics", source.read(), domain="code")
    known = Runs(path=str(tmp_path / "runs"), base_lr_history=STAGE).read()
    assert set(known["base_lr_area"]) == {10.0}


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ({"anneal_decay": 1.0}, r"source\.anneal_decay is 1\.0; lambda.*between 0 and 1"),
        ({"anneal_decay": 0.0}, r"source\.anneal_decay is 0\.0"),
        ({"base_lr_history": {"peak_lr": 1.0}}, r"source\.base_lr_history lacks tokens, tokens_per_step, schedule"),
    ],
)
def test_a_lambda_or_a_history_that_is_none_is_refused_before_anything_is_read(field, sentence):
    with pytest.raises(UserError, match=sentence):
        Runs(path="nowhere", **field)


def test_a_question_with_another_lambda_than_the_table_is_refused():
    question = Schedule(anneal_decay=0.99)
    with pytest.raises(UserError, match=r"question\.anneal_decay is 0\.99 but source\.anneal_decay is 0\.999"):
        FitConfig(law=CPTDynamics(), source=Runs(path="runs"), question=question)
    same = FitConfig(law=CPTDynamics(), source=Runs(path="runs", anneal_decay=0.99), question=question)
    assert same.question is question
