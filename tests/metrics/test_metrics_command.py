"""`cptlab metrics` as a user types it."""

import json

import pytest
from known_runs import write_diagnostics, write_run

from cptlab.cli import main

LOSSES = {
    0: {"prose": 2.0, "law": 4.0}, 2: {"prose": 2.4, "law": 3.8}, 5: {"prose": 2.2, "law": 3.5},
    10: {"prose": 1.8, "law": 3.0},
}  # fmt: skip


def said(capsys, *arguments):
    """(exit code, stdout, stderr)."""
    with pytest.raises(SystemExit) as ended:
        main(["metrics", *map(str, arguments)])
    out = capsys.readouterr()
    return ended.value.code, out.out, out.err


def cells(text, start):
    """The line that starts with a word, as cells two blanks apart."""
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_one_run_is_told_in_full(tmp_path, capsys):
    folder = write_run(tmp_path, "a", LOSSES, se=0.01)
    kurtosis = {name: {"mean": [3.5, 4.0], "se": [0.1, 0.1]} for name in ("prose", "law")}
    write_diagnostics(folder, [{
        "step": 10, "weight_drift": {"block 0": {"change_sq": 1.0, "base_sq": 100.0, "numel": 4}}, "kurtosis": kurtosis,
        "gradients": {"corpora": ["prose", "law"], "gram": [[4, 4, -2, -2], [4, 4, -2, -2], [-2, -2, 4, 4], [-2, -2, 4, 4]]},
    }])  # fmt: skip
    code, text, _ = said(capsys, folder)
    assert code == 0
    assert text.startswith("run a, finished: 30,000 parameters, step 10, 1,000 tokens, split fit\n")
    assert "of the base 0.1, of this run 0.25" in text
    assert cells(text, "prose ") == [
        "prose", "75.0 %", "1.8000 ± 0.0100", "6.05 ± 0.06", "0.6492 ± 0.0036", "-0.2000 ± 0.0141", "-0.2000 ± 0.0141",
        "0.4000 ± 0.0141", "750",
    ]  # fmt: skip
    assert "prose: 0.4000 ± 0.0141 nat/token above the base at step 2; back at step 10, after about 750 tokens (between 500 and 1,000)" in text  # fmt: skip
    assert "law: never above the base at an evaluation, the first after 200 tokens" in text
    assert cells(text, "block 0") == ["block 0", "0.1000", "5.00e-01"]
    assert cells(text, "prose -> law") == ["prose -> law", "-0.500 ± 0.000", "-0.500", "-0.500", "conflicting"]
    assert text.rstrip().splitlines()[-1].split() == ["law", "1", "–", "4.00", "±", "0.10"]


def test_several_runs_are_a_table_by_size_and_json_says_the_same(tmp_path, capsys):
    write_run(tmp_path, "big", LOSSES, num_params_nonembed=90_000)
    write_run(tmp_path, "small", LOSSES)
    code, text, _ = said(capsys, tmp_path)
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == ["run", "small", "small", "big", "big"]
    code, text, _ = said(capsys, tmp_path / "big", tmp_path / "small", "--json")
    content = json.loads(text)["runs"]
    assert [run["run"] for run in content] == ["big", "small"]
    assert content[0]["corpora"]["prose"]["stability_gap"]["break_even_tokens"] == pytest.approx(750)


def test_a_rise_within_the_noise_is_not_called_forgetting(tmp_path, capsys):
    folder = write_run(tmp_path, "a", {0: {"prose": 2.0}, 10: {"prose": 2.1}}, se=0.1)
    assert "within the noise of 1 evaluation; still rising at the end\n" in said(capsys, folder)[1]
    folder = write_run(tmp_path, "b", {0: {"prose": 2.0}, 10: {"prose": 2.1}}, se=0.01)
    assert "still rising at the end: forgetting, no gap\n" in said(capsys, folder)[1]


def test_a_table_of_stages_as_a_stream(tmp_path, capsys):
    (tmp_path / "stages.csv").write_text(
        "stage,trained,prose,law,code\nbase,prose,2.0,4.0,5.0\none,law,2.2,3.0,5.1\ntwo,code,2.5,3.4,4.0\n"
    )
    code, text, _ = said(capsys, "--stream", tmp_path / "stages.csv", "--figures", tmp_path / "figures")
    assert code == 0
    assert cells(text, "law ") == ["law", "+0.4000", "-0.4000", "–"]
    assert cells(text, "code ") == ["code", "-1.0000", "–", "-0.1000"]
    assert cells(text, "mean ") == ["mean", "+0.4500", "-0.4000", "-0.1000"]
    assert "retained 3.3000, learned 3.5000 nat/token" in text
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["transfer_matrix.png"]
    content = json.loads(said(capsys, "--stream", tmp_path / "stages.csv", "--json")[1])["stream"]
    assert content["gain"][0] == pytest.approx([-0.2, 1.0, -0.1])


def test_tasks_win_tie_and_lose(tmp_path, capsys):
    rows = [(task, i) for task in ("a", "b", "c") for i in range(40)]
    score = {"a": lambda i: (0, i % 2), "b": lambda i: (i % 2, 0), "c": lambda i: (i % 2, i % 2)}
    for name, which in (("base", 0), ("adapted", 1)):
        lines = [f"{task},{i},{score[task](i)[which]}" for task, i in rows]
        (tmp_path / f"{name}.csv").write_text("\n".join(["task,item,score", *lines]) + "\n")
    files = [tmp_path / "base.csv", tmp_path / "adapted.csv"]
    code, text, _ = said(capsys, "--tasks", *files)
    assert code == 0
    assert [cells(text, task)[-1] for task in ("a ", "b ", "c ")] == ["win", "loss", "tie"]
    assert text.rstrip().endswith("1 win, 1 tie, 1 loss; without any difference about 0.15 of 3 would still not tie")
    content = json.loads(said(capsys, "--tasks", *files, "--lower-is-better", "a", "--json")[1])
    assert content["tally"] == {"win": 0, "tie": 1, "loss": 2}


def test_figures_of_a_run_are_those_that_its_record_fills(tmp_path, capsys):
    folder = write_run(tmp_path, "a", LOSSES)
    said(capsys, folder, "--figures", tmp_path / "figures")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["stability_gap.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "takes run folders, or --tasks BASE ADAPTED"),
        (["{}/nothing"], "nothing is no folder of runs"),
        (["{}"], "holds no run (a folder with run.json)"),
        (["{}", "--split", "fitt"], "--split fitt is no split. Did you mean fit?"),
        (["--stream", "{}/none.csv"], "none.csv is no file of stages"),
        (["--tasks", "{}/x.csv", "{}/y.csv"], "x.csv is no file of scores"),
        (["--tasks", "{}/x.csv", "{}/y.csv", "--level", "1"], "--level 1 must lie in (0, 1)"),
    ],
)
def test_what_cannot_be_told_is_one_sentence(tmp_path, capsys, arguments, words):
    code, text, error = said(capsys, *(argument.format(tmp_path) for argument in arguments))
    assert code == 2
    assert text == ""
    assert words in error
    assert error.count("\n") == 1


def test_a_run_without_an_evaluation_is_refused(tmp_path, capsys):
    folder = write_run(tmp_path, "a", {}, status=None)
    code, _, error = said(capsys, folder)
    assert code == 2
    assert "has no evaluation yet; train it first" in error
