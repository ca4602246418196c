"""`regularizer=ewc` says on how many rows it measures where the corpus has fewer than were asked for."""

import pytest

from cptlab.data.stream import num_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point


@pytest.mark.parametrize("rows", [3, 100_000_000])
def test_rows_beyond_the_corpus_are_said_in_one_line_and_others_are_not(study, tmp_path, capsys, rows):
    overrides = [*study, "regularizer=ewc", f"regularizer.rows={rows}", "data.sequence_length=512", "rows_per_step=1",
                 "tokens=512", "evaluation.rows=1", "evaluation.points=1", "save_model=false", f"runs={tmp_path}"]  # fmt: skip
    corpora = open_point(compose_point(overrides)).corpora.corpora
    held = num_rows(corpora["prose"]["train"], 512)
    assert 3 < held < 200
    capsys.readouterr()
    assert train_point(compose_point(overrides), overrides, quiet=True).status == "finished"
    said = [line for line in capsys.readouterr().err.splitlines() if "regularizer.rows" in line]
    line = f"regularizer.rows=100000000: prose has {held} rows, and F is measured on these"
    assert said == ([] if rows == 3 else [line])
