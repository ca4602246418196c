"""Bases that could be trained and not be used: told before, and told how to get rid of."""

import pytest

from cptlab.errors import UserError
from cptlab.records.run import write_whole
from cptlab.sweeps.bases import link_to
from cptlab.sweeps.study import read_study


def bases_of(folder, grid):
    (folder / "bases.yaml").write_text(grid)
    (folder / "grid.yaml").write_text(f"seeds: [0]\nbases: {{grid: bases.yaml, as: '{folder}/bases/{{model.size}}'}}\n")
    return read_study(folder / "grid.yaml", []).bases


@pytest.mark.parametrize("more", ["fixed: {save_model: false}", "points: [{model.size: 100k, +save_model: 'False'}]"])
def test_bases_without_a_model_are_refused_before_they_are_trained(tmp_path, more):
    bases = bases_of(tmp_path, f"axes: {{model.size: [30k]}}\n{more}\n")
    with pytest.raises(UserError, match=r"bases\.yaml: other points start from the models of bases; drop save_model"):
        bases.missing()


def test_the_last_of_two_values_says_whether_bases_keep_their_model(tmp_path):
    bases = bases_of(tmp_path, "fixed: {save_model: false}\npoints: [{model.size: 30k, save_model: true}]\n")
    assert [folder.name for folder in bases.missing()] == ["30k"]


@pytest.mark.parametrize("linked", [True, False], ids=["at its place", "not linked yet"])
def test_a_base_that_kept_no_model_says_which_folder_to_delete(tmp_path, linked):
    bases, run = bases_of(tmp_path, "axes: {model.size: [30k]}\n"), tmp_path / "runs" / "ab"
    run.mkdir(parents=True)
    write_whole(run / "done.json", {"status": "finished", "weights_sha256": ""})
    if linked:
        link_to(tmp_path / "bases" / "30k", run)
    with pytest.raises(UserError, match=rf"bases/30k kept no model, .*; delete {run}, and the same command trains it"):
        bases.make(lambda grid: [(grid.points[0], run)])
    write_whole(run / "done.json", {"status": "failed", "weights_sha256": ""})
    assert [folder.name for folder in bases.missing()] == ["30k"]  # which is trained anew by itself
