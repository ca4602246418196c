"""A trained run held against its prediction."""

import dataclasses

import numpy as np
import pytest
from planted import share_line

from cptlab.decisions.check import earlier, held_against, without
from cptlab.decisions.recommend import recommend
from cptlab.decisions.tradeoff import Tradeoff
from cptlab.errors import UserError
from cptlab.records.observations import Observations


def run(name="new", share=0.3, law=3.7, general=2.06, tokens=1e9, size=1e8):
    """One run's last rows, with an earlier row of each corpus before them."""
    columns = {
        "domain_share": [share] * 4, "share": [share, 1 - share] * 2, "num_params": [size] * 4,
        "tokens": [tokens / 2, tokens / 2, tokens, tokens], "loss": [9.0, 9.0, law, general],
    }  # fmt: skip
    text = np.array(["law", "general"] * 2)
    full = {key: np.array(values, float) for key, values in columns.items()}
    return Observations(full, np.full(4, name), text, np.full(4, "fit"), np.full(4, "b"), "planted")


def last(rows):
    return rows.where(rows["tokens"] == rows["tokens"].max())


@pytest.fixture
def fits():
    """law 4 - r, general 2 + .2 r, draws scaled by 1 +- 1 %: at r = .3 3.7 +- .9 % and 2.06 +- .9 %."""
    return {
        "law": share_line("law", 4, -1, spread=0.01),
        "general": share_line("general", 2, 0.2, spread=0.01, base_loss=2.0),
    }


def test_a_run_inside_its_interval_and_one_outside(fits):
    found = held_against(fits, last(run(law=3.72, general=2.2)), Tradeoff())
    assert found.inside == {"law": True, "general": False}
    law, general = found.sentences()
    np.testing.assert_allclose(found.predicted["law"], [3.7 * 0.991, 3.7, 3.7 * 1.009], rtol=1e-3)
    assert law.startswith("law: measured 3.7200 lies inside the 90% interval")
    assert "general: measured 2.2000 lies outside the 90% interval" in general
    assert "+0.1400 nat from the predicted 2.0600" in general
    assert found.to_json()["corpora"]["general"]["inside"] is False


def test_the_choice_of_an_earlier_recommendation_counts_where_the_run_is_that_choice(fits, tmp_path):
    answer = recommend(fits, Tradeoff())
    answer.write(tmp_path / "recommendation.json")
    found = earlier(tmp_path / "recommendation.json", last(run()))
    assert found is not None
    assert found.inside == {"law": True, "general": True}
    np.testing.assert_allclose(found.predicted["law"], answer.predicted["law"])
    assert "before" in found.against
    assert earlier(tmp_path / "recommendation.json", last(run(share=0.5))) is None
    assert earlier(tmp_path / "recommendation.json", last(run(size=1e7))) is None
    assert earlier(tmp_path / "nothing.json", last(run())) is None


def test_the_run_is_taken_out_of_the_rows_that_predict_it():
    both = run()
    other = run("old")
    rows = Observations(
        {k: np.concatenate([both[k], other[k]]) for k in both.columns}, np.concatenate([both.run, other.run]),
        np.concatenate([both.domain, other.domain]), np.concatenate([both.split, other.split]),
        np.concatenate([both.base, other.base]), "planted",
    )  # fmt: skip
    own, others = without(rows, "new")
    assert set(others.run) == {"old"}
    assert own["loss"].tolist() == [3.7, 2.06]
    with pytest.raises(UserError, match=r"check=nwe is no run among the rows read\. Did you mean new"):
        without(rows, "nwe")
    with pytest.raises(UserError, match="is the only run"):
        without(both, "new")
    with pytest.raises(UserError, match="has no row of split fit"):
        without(dataclasses.replace(rows, split=np.where(rows.run == "new", "test", rows.split)), "new")
