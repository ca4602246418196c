"""What `cptlab wandb-sweep` refuses before anything is trained, and what it leaves to the sweep."""

import pytest
import yaml
from known_studies import with_bases

from cptlab.cli import main
from cptlab.records.run import write_whole
from cptlab.sweeps.index import planned_points
from cptlab.sweeps.study import read_study


def refused(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["wandb-sweep", *map(str, arguments)])
    printed = capsys.readouterr()
    assert ended.value.code == 2, printed
    assert len(printed.err.strip().splitlines()) == 1
    return printed.err


@pytest.mark.parametrize("flags", [[], ["--agents", "1"], ["--dry-run"], ["--offline", "--dry-run"],
                                   ["--offline", "--method", "random"]])  # fmt: skip
def test_bases_that_are_missing_are_told_with_what_makes_them(study, tmp_path, capsys, flags):
    own = with_bases(tmp_path, study)
    said = refused(capsys, tmp_path, *own, *flags)
    assert f"mine: 1 of its bases is not trained yet ({tmp_path}/bases/8): `cptlab sweep {tmp_path}/grid.yaml`" in said
    assert not list(tmp_path.glob("runs/*/run.json"))


def test_without_a_server_a_grid_makes_its_bases_as_a_sweep_does(study, tmp_path, capsys):
    (tmp_path / "grid.yaml").write_text(f"seeds: [0]\nbases: {{command: 'false', makes: [{tmp_path}/base]}}\n")
    own = [*study, f"model.base_run={tmp_path}/base", f"runs={tmp_path}/runs", "--offline"]
    assert "bases.command `false` ended with code 1" in refused(capsys, tmp_path, *own)


def test_a_base_that_another_driver_has_trained_is_found(study, tmp_path, capsys):
    own = with_bases(tmp_path, study)
    (base,) = planned_points(read_study(tmp_path / "bases.yaml", []).points)
    base.path.mkdir(parents=True)
    write_whole(base.path / "done.json", {"status": "finished"})  # no more of it is there
    assert "model.base_run" in refused(capsys, tmp_path, *own, "--dry-run")
    assert (tmp_path / "bases" / "8").resolve() == base.path.resolve()


@pytest.mark.parametrize("flags", [[], ["--offline"], ["--dry-run"]])
def test_a_law_that_cannot_be_fitted_is_told_before_anything_is_trained(study, tmp_path, capsys, flags):
    content = {"seeds": [0], "law": {"law": "dcpt", "law.min_irreducibl": 0}}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(content))
    said = refused(capsys, tmp_path, *study, f"runs={tmp_path}/runs", *flags)
    assert "Did you mean law.min_irreducible?" in said
    assert not list(tmp_path.glob("runs/*/run.json"))
