import json

from cptlab.records.run import EvalRow, RunFolder, read_rows


def row(step, attempt=1):
    return EvalRow("x", attempt, step, step * 10, {"a": step * 10}, {"a": step * 10}, 0, 1e-3, 0.1, 0.0, "a", "fit", 20.0, 10, 30, 0.1, 1.0)  # fmt: skip


def test_loss_is_the_sum_over_the_count():
    assert row(1).loss == 2.0


def test_a_last_line_cut_by_a_crash_is_no_row(tmp_path):
    RunFolder(tmp_path).append([row(0), row(1)])
    with (tmp_path / "evals.jsonl").open("a") as handle:
        handle.write('{"run_id": "x", "att')
    assert [r["step"] for r in read_rows(tmp_path)] == [0, 1]
    RunFolder(tmp_path)._drop_cut_line()
    RunFolder(tmp_path).append([row(2)])
    assert [r["step"] for r in read_rows(tmp_path)] == [0, 1, 2]


def test_only_a_finished_run_counts_as_finished(tmp_path):
    folder = RunFolder(tmp_path)
    assert not folder.is_finished
    folder.end("failed", "the loss is nan", 1.0)
    assert not folder.is_finished
    folder.end("finished", "", 1.0)
    assert folder.is_finished
    assert json.loads((tmp_path / "done.json").read_text())["status"] == "finished"
