"""What a driver that trains no bases says while they are missing."""

import pytest
from known_studies import with_bases

from cptlab.errors import UserError
from cptlab.sweeps.first import points_of_file


def told(file, own):
    with pytest.raises(UserError) as error:
        points_of_file(str(file), own)
    return str(error.value)


def test_bases_of_a_grid_have_a_command_of_their_own(study, tmp_path):
    said = told(tmp_path, with_bases(tmp_path, study))
    assert said == (
        f"mine: 1 of its bases is not trained yet ({tmp_path}/bases/8): `cptlab sweep {tmp_path}/grid.yaml` trains bases"
        f" first, or do it now with `cptlab sweep {tmp_path}/bases.yaml`"
    )


def test_trunks_have_the_same_command_and_it_is_said_once(study, tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("branches: true\nbudgets: [640, 1280]\nfixed: {lr_schedule: wsd, lr_schedule.decay_share: 0.25}\n")
    own = [each for each in study if not each.startswith(("tokens=", "runs="))]
    said = told(file, [*own, f"runs={tmp_path}/runs"])
    assert "of its trunks are not trained yet" in said
    assert said.endswith(f"): `cptlab sweep {file}` trains trunks first")


def test_bases_of_trunks_are_told_as_bases(study, tmp_path):
    own = [each for each in with_bases(tmp_path, study) if not each.startswith("tokens=")]
    schedule = "lr_schedule: wsd, lr_schedule.decay_share: 0.25"
    base = f"fixed: {{model.base_run: {tmp_path}/base, {schedule}}}"
    text = f"bases: {{command: make it, makes: [{tmp_path}/base]}}\nbranches: true\nbudgets: [640, 1280]\n{base}\n"
    (tmp_path / "grid.yaml").write_text(text)
    said = told(tmp_path / "grid.yaml", own)
    assert "of its bases are not trained yet" in said
    assert said.count("`cptlab sweep") == 1
