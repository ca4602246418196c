"""lm_eval runs for real, on a tiny model and the task that docs/lm_eval ships."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.cli import main
from cptlab.export.evaluation import Choices, evaluate, table

ROOT = Path(__file__).parents[2]
TASKS = ROOT / "docs/lm_eval"


def command(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "cptlab", "lm-eval", *map(str, arguments)], capture_output=True, text=True, cwd=cwd
    )


@pytest.mark.slow
def test_a_local_task_runs_on_the_export_and_agrees_with_the_models_own_choice(run):
    pytest.importorskip("lm_eval")
    import torch

    from cptlab.data.tokenizer import load_tokenizer
    from cptlab.export.folder import export
    from cptlab.models.base import load_pretrained

    done = export(run)
    model, tokenizer = load_pretrained(run / "model", 0, 0).eval(), load_tokenizer(str(run / "model"))

    def score(text, ending):
        whole, context = (next(tokenizer.encode([part])) for part in (text + ending, text))
        ids = torch.tensor([whole[-16:]])
        with torch.no_grad():
            log_p = model(input_ids=ids[:, :-1]).logits.log_softmax(-1)[0].gather(1, ids[0, 1:, None])[:, 0]
        return float(log_p[-(len(whole) - len(context)) :].sum())

    items = [json.loads(line) for line in (TASKS / "agreement.jsonl").read_text().splitlines()]
    ours = [
        max(range(2), key=lambda i, item=item: score(item["text"], item["choices"][i])) == item["answer"]
        for item in items
    ]
    found = command(run, "--tasks", TASKS)
    assert found.returncode == 0, found.stderr
    assert "%|" not in found.stderr  # a pipe gets no progress bars
    assert found.stdout.splitlines()[1].split() == [
        "agreement", "acc", f"{sum(ours) / len(ours):.4f}", *found.stdout.splitlines()[1].split()[3:4], "16", "0",
    ]  # fmt: skip
    results = json.loads((run / "lm_eval/lm_eval.json").read_text())
    assert results["results"]["agreement"]["acc,none"] == pytest.approx(sum(ours) / len(ours))
    assert results["model"] == {"folder": "export", "weights_sha256": done.weights_sha256}
    assert results["software"]["lm_eval"]


def test_the_shipped_task_has_both_answers_equally_often():
    items = [json.loads(line) for line in (TASKS / "agreement.jsonl").read_text().splitlines()]
    assert sum(item["answer"] for item in items) == len(items) / 2
    assert all(len(set(item["choices"])) == 2 for item in items)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tasks", "{run}"], "holds no *.yaml task file; docs/lm_eval/ has an example"),
        (["--tasks", "{run}/coded"], "runs Python of its own (!function); read it, then add --allow-code"),
        (["--tasks", str(TASKS), "--limit", "0"], "--limit is 0; it must be 1 or more"),
        (["--tasks", str(TASKS), "--only", "agreemnt"], "--only agreemnt is no task of"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(run, arguments, sentence, capsys):
    pytest.importorskip("lm_eval")
    (run / "coded").mkdir()
    (run / "coded/task.yaml").write_text("task: coded\ndoc_to_text: !function code.text\n")
    if arguments[1] == "{run}":
        shutil.rmtree(run / "coded")
    with pytest.raises(SystemExit) as exit:
        main(["lm-eval", str(run), *(argument.format(run=run) for argument in arguments)])
    assert exit.value.code == 2
    assert sentence in capsys.readouterr().err


def test_without_lm_eval_the_sentence_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setattr("cptlab.export.evaluation.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'cptlab\[evaluation\]'"):
        evaluate(run, TASKS, Choices())


def test_the_table_shows_each_metric_once_with_its_error():
    results = {
        "results": {"t": {"alias": "t", "acc,none": 0.5, "acc_stderr,none": 0.1, "f1,strict": 0.25}},
        "n-samples": {"t": {"effective": 4}}, "n-shot": {"t": 2},
    }  # fmt: skip
    lines = [line.split() for line in table(results).splitlines()]
    assert lines[1:] == [["t", "acc", "0.5000", "0.1000", "4", "2"], ["t", "f1", "(strict)", "0.2500", "4", "2"]]
