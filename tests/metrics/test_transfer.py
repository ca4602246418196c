"""Forgetting, retained, learned and transfer of a planted matrix, worked by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known_runs import write_diagnostics, write_run

from cptlab.errors import UserError
from cptlab.metrics.diagnostics import read_diagnostics
from cptlab.metrics.stages import StageMatrix, read_stages
from cptlab.metrics.streams import stages_of_runs
from cptlab.metrics.transfer import transfer
from cptlab.records.run_folders import load_run

# corpora:          prose  law  medical  code
LOSS = np.array([[2.0, 4.0, 3.0, 5.0],   # base, trained on prose
                 [2.2, 3.0, 2.9, 5.1],   # after law
                 [2.1, 3.3, 2.0, 4.8],   # after medical
                 [2.6, 3.5, 2.4, 4.0]])  # after code  # fmt: skip
NAMES = ["prose", "law", "medical", "code"]
PLANTED = StageMatrix(["base", "1", "2", "3"], NAMES, NAMES, LOSS, np.full((4, 4), 0.3))


def values(found):
    return {name: pytest.approx(each.value) for name, each in found.items()}


def test_forgetting_retained_and_learned():
    found = transfer(PLANTED)
    assert values(found.forgetting) == {"prose": 0.6, "law": 0.5, "medical": 0.4, "code": -0.8}
    assert found.forgetting_mean.value == pytest.approx(0.5)  # code was not trained on before the last stage
    assert found.retained.value == pytest.approx(3.125)
    assert found.learned.value == pytest.approx(3.0)  # 3, 2, 4


def test_what_no_stage_trained_on_is_not_retained():
    loss = np.array([[2.0, 4.0, 9.0], [2.2, 3.0, 9.0]])
    found = transfer(StageMatrix(["base", "one"], ["prose", "law"], ["prose", "law", "other"], loss, loss * np.nan))
    assert found.retained.value == pytest.approx(2.6)  # prose 2.2, law 3
    assert found.learned.value == 3.0
    scratch = transfer(StageMatrix(["base", "one"], ["", "law"], ["prose", "law", "other"], loss, loss * np.nan))
    assert scratch.retained.value == 3.0  # no stage is known to have trained on prose


def test_backward_and_forward_transfer():
    found = transfer(PLANTED)
    assert values(found.backward) == {"prose": -0.6, "law": -0.5, "medical": -0.4}
    assert found.backward_mean.value == pytest.approx(-0.45)  # law and medical: the base's corpus is not of the stream
    assert values(found.forward) == {"medical": 0.1, "code": 0.2}
    assert found.forward_mean.value == pytest.approx(0.15)


def test_a_corpus_that_comes_back_counts_backward_from_its_last_visit_and_forward_to_its_first():
    loss = np.array([[4.0, 5.0], [3.0, 4.5], [3.5, 3.0], [2.5, 3.2], [2.9, 2.8]])  # law, code, law, code
    found = transfer(StageMatrix(list("b1234"), ["", "law", "code", "law", "code"], ["law", "code"], loss, loss * 0))
    assert values(found.backward) == {"law": 2.5 - 2.9}
    assert values(found.forward) == {"code": 5.0 - 4.5}
    page = " ".join((Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf8").split())
    assert "the own stage is the last visit for backward transfer and the first for forward transfer" in page


def test_the_transfer_matrix_is_what_each_stage_gave():
    found = transfer(PLANTED)
    np.testing.assert_allclose(found.gain, [[-0.2, 1.0, 0.1, -0.1], [0.1, -0.3, 0.9, 0.3], [-0.5, -0.2, -0.4, 0.8]])
    np.testing.assert_allclose(found.gain_se, 0.3 * 2**0.5)
    assert found.backward_mean.se == pytest.approx(0.3 * 2**0.5 / 2**0.5)
    assert found.retained.se == pytest.approx(0.15)


@given(arrays(float, (4, 3), elements=st.floats(0.5, 9)))
def test_gains_add_up_to_the_whole_change_and_nothing_is_forgotten_below_the_best(loss):
    m = StageMatrix(list("0123"), ["", "a", "b", "c"], list("abc"), loss, np.full((4, 3), np.nan))
    found = transfer(m)
    np.testing.assert_allclose(found.gain.sum(0), loss[0] - loss[3], atol=1e-9)
    best = {c: loss[:3, i].min() for i, c in enumerate("abc")}
    assert values(found.forgetting) == {c: loss[3, i] - best[c] for i, c in enumerate("abc")}
    assert found.retained.se is None
    assert np.isnan(found.gain_se).all()
    json.dumps(found.to_json(), allow_nan=False)


def test_a_corpus_that_comes_back_is_judged_from_its_last_visit():
    m = StageMatrix(list("0123"), ["", "a", "b", "a"], ["a", "b"], np.array([[3, 3], [2, 2.5], [2.5, 1], [1.5, 2.0]]), np.zeros((4, 2)))  # fmt: skip
    found = transfer(m)
    assert values(found.backward) == {"b": -1.0}
    assert values(found.forward) == {"b": 0.5}
    assert values(found.forgetting) == {"a": -0.5, "b": 1.0}


def test_one_stage_is_plain_cpt():
    m = StageMatrix(["base", "law"], ["prose", "law"], ["prose", "law"], LOSS[:2, :2], np.zeros((2, 2)))
    found = transfer(m)
    assert found.forgetting_mean.value == pytest.approx(0.2)
    assert found.learned.value == 3.0
    assert np.isnan(found.backward_mean.value)
    assert found.to_json()["forward_mean"]["value"] is None


def test_a_table_of_stages_is_read(tmp_path):
    file = tmp_path / "stages.csv"
    file.write_text("stage,trained,prose,prose_se,law\nbase,prose,2.0,0.1,4\none,law,2.5,0.2,3\n")
    m = read_stages(file)
    assert (m.corpora, m.trained, m.stages) == (["prose", "law"], ["prose", "law"], ["base", "one"])
    np.testing.assert_array_equal(m.loss, [[2, 4], [2.5, 3]])
    np.testing.assert_array_equal(m.se, [[0.1, np.nan], [0.2, np.nan]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "stage,trained,law\nbase,,4\none,lav,3\n",
            "a stage trained on lav, whose loss was not measured. Did you mean law?",
        ),
        ("stage,trained,law\nbase,,4\none,law,\n", "row 3, column law is empty"),
        ("stage,trained,law\nbase,,4\none,law,x\n", "row 3, column law: 'x' is no number"),
        ("stage,trained\nbase,\none,\n", "has no column of losses"),
        ("stage,law\nbase,4\n", "has no column 'trained'"),
        ("stage,trained,law\nbase,,4\n", "needs the base and at least one stage"),
    ],
)
def test_a_table_that_is_no_stream_is_refused_with_its_place(tmp_path, text, words):
    file = tmp_path / "stages.csv"
    file.write_text(text)
    with pytest.raises(UserError) as error:
        read_stages(file)
    assert words in str(error.value)


def stream(tmp_path, base="one"):
    """Two runs, the second from the first."""
    write_run(
        tmp_path, "one", {0: {"prose": 2.0, "law": 4.0, "code": 5.0}, 10: {"prose": 2.2, "law": 3.0, "code": 5.1}}
    )
    write_run(
        tmp_path, "two", {0: {"prose": 2.2, "law": 3.0, "code": 5.1}, 10: {"prose": 2.5, "law": 3.4, "code": 4.0}},
        base={"kind": "run", "run_id": base, "weights_sha256": "x"}, domain="code",
    )  # fmt: skip
    return [load_run(tmp_path / name) for name in ("one", "two")]


def test_runs_that_start_from_each_other_are_a_stream(tmp_path):
    m = stages_of_runs(stream(tmp_path))
    assert list(m.trained) == ["prose", "law", "code"]
    np.testing.assert_allclose(m.loss, [[2, 4, 5], [2.2, 3, 5.1], [2.5, 3.4, 4]])
    assert values(transfer(m).backward) == {"prose": -0.5, "law": -0.4}


def test_the_hash_of_the_weights_tells_a_base_too(tmp_path):
    one, two = stream(tmp_path, base=None)
    with pytest.raises(UserError, match="run two did not start from one"):
        stages_of_runs([one, two])
    two.facts["base"]["weights_sha256"] = "weights of one"
    assert stages_of_runs([one, two]).last == 2


def test_rows_that_were_kept_pair_the_stages(tmp_path):
    runs = stream(tmp_path)
    counts = [5, 5]
    for name, sums in {"one": {0: [10, 10], 10: [11, 13]}, "two": {0: [11, 13], 10: [16, 18]}}.items():
        lines = [{"step": step, "row_losses": {"prose": {"sums": s, "counts": counts}}} for step, s in sums.items()]
        write_diagnostics(tmp_path / name, lines)
    m = stages_of_runs(runs, kept=[read_diagnostics(run.folder) for run in runs])
    assert m.change(1, 0, "prose").se == pytest.approx(2**0.5 / 10)  # changes 1 and 3 around 2, 10 labels
    assert m.change(2, 1, "prose").se == 0  # both rows rose by 5
    assert m.change(1, 0, "law").se == pytest.approx(0.1 * 2**0.5)


def test_runs_in_another_order_are_refused(tmp_path):
    one, two = stream(tmp_path)
    with pytest.raises(UserError, match=r"run one did not start from two \(its base is base\)"):
        stages_of_runs([two, one])
