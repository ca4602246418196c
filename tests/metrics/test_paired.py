"""The paired bootstrap on scores whose answer is known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.metrics.item_scores import read_scores, same_items
from cptlab.metrics.paired import compare_tasks, paired_bootstrap, resampled_means, tally


def test_the_interval_is_that_of_the_normal_approximation():
    base = np.repeat([0.0, 1.0], 200)
    adapted = base.copy()
    adapted[:40], adapted[200:210] = 1.0, 0.0  # 40 won, 10 lost of 400
    found = paired_bootstrap("t", base, adapted)
    assert found.gain == pytest.approx(0.075)
    sigma = np.sqrt(50 / 400 - 0.075**2) / 20
    assert found.gain_se == pytest.approx(sigma, rel=0.03)
    assert (found.low, found.high) == (pytest.approx(0.075 - 1.96 * sigma, abs=0.003), pytest.approx(0.075 + 1.96 * sigma, abs=0.003))  # fmt: skip
    assert found.verdict == "win"
    assert (found.base, found.adapted) == (0.5, 0.575)


def test_pairing_wins_where_the_two_means_alone_would_tie():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 10, size=200)
    assert paired_bootstrap("t", base, base + 0.1 + 0.1 * rng.normal(size=200)).verdict == "win"
    assert paired_bootstrap("t", base, rng.permutation(base + 0.1)).verdict == "tie"


def test_equal_scores_tie_and_lower_may_be_better():
    same = np.arange(5.0)
    tie = paired_bootstrap("t", same, same)
    assert (tie.verdict, tie.low, tie.high, tie.p) == ("tie", 0, 0, 1)
    assert paired_bootstrap("t", same, same + 1).verdict == "win"
    assert paired_bootstrap("t", same, same + 1, higher_is_better=False).verdict == "loss"


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=30), st.integers(0, 99))
def test_swapping_the_models_swaps_the_verdict(gains, seed):
    base, adapted = np.zeros(len(gains)), np.array(gains, float)
    one = paired_bootstrap("t", base, adapted, num_draws=2000, seed=seed)
    other = paired_bootstrap("t", adapted, base, num_draws=2000, seed=seed + 100)
    assert other.gain == -one.gain
    assert one.low <= one.gain + 1e-9
    assert one.gain <= one.high + 1e-9
    width = one.high - one.low
    assert other.low == pytest.approx(-one.high, abs=0.2 * width + 1e-9)


def test_counts_of_distinct_values_resample_as_items_do():
    values = np.array([0.0, 0.0, 1.0, 5.0])
    means = resampled_means(values, 200_000, np.random.default_rng(1))
    assert means.mean() == pytest.approx(1.5, abs=0.02)
    assert means.var() == pytest.approx(values.var() / 4, rel=0.02)
    assert np.mean(means == 0) == pytest.approx(1 / 16, abs=0.003)


def test_a_level_of_95_is_wrong_about_one_task_in_twenty_without_a_difference():
    rng = np.random.default_rng(3)
    tasks = {f"t{i}": rng.integers(0, 2, (2, 150)).astype(float) for i in range(400)}
    found = [paired_bootstrap(name, *scores, num_draws=1000, seed=i) for i, (name, scores) in enumerate(tasks.items())]
    assert 0.025 < 1 - tally(found)["tie"] / 400 < 0.085


def samples(folder, name, scores, metric="acc", **more):
    lines = [{"doc_id": i, "filter": "none", "metrics": [metric], metric: s, **more} for i, s in enumerate(scores)]
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_folder_of_lm_evals_samples_gives_the_newest_of_each_task(tmp_path):
    samples(tmp_path / "m", "samples_arc_easy_2026-01-01T10-00-00.000001.jsonl", [0, 0])
    samples(tmp_path / "m", "samples_arc_easy_2026-01-02T10-00-00.000001.jsonl", [1, 0])
    samples(tmp_path / "m", "samples_wiki_2026-01-01T10-00-00.000001.jsonl", [3.5], metric="loss")
    scores, lower = read_scores(tmp_path / "m")
    assert scores == {"arc_easy": {"0": 1.0, "1": 0.0}, "wiki": {"0": 3.5}}
    assert lower == {"wiki"}


def test_one_filter_of_lm_eval_is_read(tmp_path):
    lines = [{"doc_id": i, "filter": f, "metrics": ["exact_match"], "exact_match": float(f == "strict")} for i in (0, 1) for f in ("strict", "loose")]  # fmt: skip
    file = tmp_path / "samples_gsm8k.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_scores(file)[0] == {"gsm8k": {"0": 1.0, "1": 1.0}}
    assert read_scores(file, "exact_match,loose")[0] == {"gsm8k": {"0": 0.0, "1": 0.0}}
    with pytest.raises(UserError, match="has no filter 'lose'"):
        read_scores(file, "exact_match,lose")


def test_a_table_holds_several_tasks(tmp_path):
    file = tmp_path / "base.csv"
    file.write_text("task,item,score\na,1,0.5\na,2,true\nb,1,0\n")
    assert read_scores(file) == ({"a": {"1": 0.5, "2": 1.0}, "b": {"1": 0.0}}, set())
    (tmp_path / "x.jsonl").write_text('{"item": "q", "score": 2}\n')
    assert read_scores(tmp_path / "x.jsonl")[0] == {"x": {"q": 2.0}}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "item,score\n1,x\n", "row 2, column score: 'x' is no number"),
        ("a.csv", "item,score\n1,1\n1,2\n", "row 3 repeats item 1 of task a"),
        ("a.csv", "item,scores\n1,1\n", "has no column 'score'. Did you mean scores?"),
        ("samples_a.jsonl", '{"doc_id": 0, "metrics": ["acc"], "acc": [1, 2]}\n', "line 1: acc is [1, 2], no number"),
        ("samples_a.jsonl", '{"doc_id": 0, "metrics": ["acc"], "acc": 1}\n{"doc\n', "line 2 is no JSON"),
        ("a.txt", "", "is no file of scores"),
    ],
)
def test_scores_that_cannot_be_read_are_refused_with_their_place(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as error:
        read_scores(tmp_path / name)
    assert words in str(error.value)


def test_other_tasks_or_items_are_refused():
    with pytest.raises(UserError, match="task b is missing from the adapted scores"):
        same_items({"a": {"1": 1.0}, "b": {}}, {"a": {"1": 1.0}})
    with pytest.raises(UserError, match="task a: item 2 is missing from the base scores"):
        same_items({"a": {"1": 1.0}}, {"a": {"1": 1.0, "2": 0.0}})


def test_tasks_are_judged_one_by_one():
    base = {
        "up": {str(i): 0.0 for i in range(30)},
        "ppl": {str(i): 1.0 + i for i in range(30)},
        "same": {"a": 1.0, "b": 0.0},
    }
    adapted = {"up": dict.fromkeys(base["up"], 1.0), "ppl": {k: v + 1 for k, v in base["ppl"].items()}, "same": {"b": 0.0, "a": 1.0}}  # fmt: skip
    found = compare_tasks(base, adapted, lower_is_better=["ppl"], num_draws=500)
    assert [one.verdict for one in found] == ["win", "loss", "tie"]
    assert tally(found) == {"win": 1, "tie": 1, "loss": 1}
