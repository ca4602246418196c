"""`cptlab corpus score`, from the base to a curriculum, on the command line."""

import numpy as np
import pytest

from cptlab.cli import main
from cptlab.sweeps.preflight import compose_point
from cptlab.training.row_scores import write_row_scores
from cptlab.training.run import open_point, train_point


def test_scores_written_by_the_command_order_a_curriculum_that_trains(study, tmp_path, capsys):
    file = tmp_path / "sums.npy"
    with pytest.raises(SystemExit) as ended:
        main(["corpus", "score", "sums", str(file), "--batch-rows", "9", *study])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    scores = np.load(file)
    assert f"{len(scores)} rows of sums, mean loss {-scores.mean():.4f}" in said
    assert f"mixture.scores={{sums: {file}}}" in said
    np.testing.assert_allclose(
        scores, write_row_scores(compose_point(study), "sums", tmp_path / "again.npy"), rtol=1e-5
    )
    overrides = [
        *study, "mixture=perplexity_curriculum", f"mixture.scores={{sums: {file}}}", "tokens=640", "save_model=false",
        "mixture.domain_share=1", "mixture.buckets=2", f"runs={tmp_path}",
    ]  # fmt: skip
    first = open_point(compose_point(overrides)).stream.locate(np.arange(4))[1]
    assert scores[first].mean() > np.median(scores)  # the easy half comes first
    assert train_point(compose_point(overrides), overrides, quiet=True).status == "finished"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sum", "x.npy"], "names the corpus sum, which data does not have. Did you mean sums?"),
        (["sums", "x.txt"], "x.txt does not end in .npy"),
        (["sums", "nowhere/x.npy"], "lies in a folder that does not exist"),
        (["sums", "x.npy", "--batch-rows", "0"], "--batch-rows is 0"),
    ],
)
def test_what_cannot_be_scored_is_one_sentence(study, tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["corpus", "score", *arguments, *study])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob("*.npy"))
