"""Going on under another attention or precision is refused unless it is allowed by name."""

import dataclasses
import json

import pytest

from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_point
from cptlab.training.checkpoint import folder
from cptlab.training.checkpoint.resolution import compare, differences
from cptlab.training.run import open_point, train_point

KEPT = {
    "step": 7,
    "resolved": {"attention": "sdpa", "precision": "fp32"},
    "world_size": 1,
    "versions": {"torch": "2.13"},
}


@dataclasses.dataclass
class Facts:
    resolved: dict
    world_size: int = 1
    versions: dict = dataclasses.field(default_factory=lambda: {"torch": "2.13"})
    run_id: str = "abc"


def told(facts, allow=False):
    said = []
    compare(KEPT, facts, allow, said.append)
    return said


def test_the_same_resolution_is_silent():
    assert told(Facts({"attention": "sdpa", "precision": "fp32"})) == []


def test_why_an_attention_was_taken_may_change():
    assert told(Facts(KEPT["resolved"] | {"attention_why": "flash_attention_2: not installed"})) == []


@pytest.mark.parametrize(
    "now", [{"attention": "flex", "precision": "fp32"}, {"attention": "sdpa", "precision": "bf16"}]
)
def test_another_attention_or_precision_is_refused_and_allowed_by_name(now):
    [changed] = [f"{name} {KEPT['resolved'][name]} (now {now[name]})" for name in now if now[name] != KEPT["resolved"][name]]  # fmt: skip
    with pytest.raises(UserError, match=r"at step 7 of abc .*checkpoint\.allow_other_resolution=true") as refused:
        told(Facts(now))
    assert changed in str(refused.value)
    assert told(Facts(now), allow=True) == [f"abc: the checkpoint at step 7 was computed with {changed}"]


def test_other_versions_and_another_number_of_processes_are_told_and_taken():
    [said] = told(Facts(KEPT["resolved"], world_size=2, versions={"torch": "2.11"}))
    assert said == "abc: the checkpoint at step 7 was computed with torch 2.13 (now 2.11), processes 1 (now 2)"


def test_differences_name_what_only_one_side_has():
    assert differences({"a": 1}, {"b": 2}) == "a 1 (now None), b None (now 2)"


def test_a_run_is_refused_or_goes_on_by_what_its_newest_valid_checkpoint_says(study, tmp_path, capsys):
    overrides = [*study, "checkpoint.every_steps=4", "checkpoint.keep_finished=true", f"runs={tmp_path}"]
    run = train_point(compose_point(overrides), overrides, quiet=True).folder
    assert [path.name for path in folder.kept(run)] == ["step_10", "step_8"]
    (run / "done.json").unlink()
    (run / "checkpoints" / "step_10" / "tensors.pt").write_bytes(b"cut")
    state = run / "checkpoints" / "step_8" / "state.json"
    state.write_text(
        json.dumps(json.loads(state.read_text()) | {"resolved": {"attention": "flex", "precision": "fp32"}})
    )
    marker = state.with_name(folder.MARKER)
    marker.write_text(json.dumps({"step": 8, "files": folder.checksums(state.parent, ["state.json", "tensors.pt"])}))
    with pytest.raises(UserError, match=r"attention flex \(now sdpa\)"):
        train_point(compose_point(overrides), overrides, quiet=True)
    assert not (run / "done.json").exists()
    assert "step_10 is treated as absent: tensors.pt has not its recorded size" in capsys.readouterr().err
    allowed = [*overrides, "checkpoint.allow_other_resolution=true"]
    assert train_point(compose_point(allowed), allowed, quiet=True).status == "finished"
    assert json.loads((run / "done.json").read_text())["of_attempt"]["from_step"] == 8


def test_nothing_of_it_is_in_the_run_id(study):
    other = ["checkpoint.every_steps=1", "checkpoint.keep=5", "checkpoint.kind=sharded", "checkpoint.every_minutes=0"]
    assert open_point(compose_point([*study, *other])).run_id == open_point(compose_point(study)).run_id


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("checkpoint.kind=shard", r"checkpoint\.kind is shard\. Did you mean sharded\?"),
        ("checkpoint.keep=0", r"checkpoint\.keep is 0; it must be 1 or more"),
        ("checkpoint.every_steps=-1", r"every_steps=-1 must be 0 or more"),
        ("checkpoint.every_step=5", r"Did you mean checkpoint\.every_steps\?"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(override, sentence):
    with pytest.raises(UserError, match=sentence):
        compose_point([override])
