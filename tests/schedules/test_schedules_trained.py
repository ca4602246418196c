"""Every schedule through the whole trainer, a base's history into the record, a branch off a trunk."""

import json
import shutil

import numpy as np
import pytest

from cptlab.errors import UserError
from cptlab.launch import options
from cptlab.records.base_areas import base_areas
from cptlab.records.read_runs import Runs
from cptlab.records.run import read_rows
from cptlab.schedules.area import anneal_area, learning_rates, lr_area
from cptlab.schedules.history import schedule_of
from cptlab.schedules.wsd import WSD
from cptlab.sweeps.preflight import compose_point
from cptlab.training.run import open_point, train_point

TOKENS, STEP = 1280, 64  # 20 steps
FIELDS = {"trapezoid": ["lr_schedule.decay_tokens=640"], "infinite": ["lr_schedule.cooldown_tokens=320"]}


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    facts = json.loads((outcome.folder / "run.json").read_text())
    return outcome.folder, facts, read_rows(outcome.folder)


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    """A base that ended at a tenth of its peak of 1e-2."""
    return train([*study, f"runs={tmp_path_factory.mktemp('base')}", "mixture=general_only", "lr_schedule=cosine",
                  f"tokens={TOKENS}", "optimizer.peak_lr=1e-2"])[0]  # fmt: skip


@pytest.mark.parametrize("name", options("lr_schedule"))
def test_every_schedule_trains_and_records_the_areas_of_its_own_rates(study, base, tmp_path, name):
    _, facts, rows = train([
        *study, f"runs={tmp_path}", f"model.base_run={base}", f"lr_schedule={name}", *FIELDS.get(name, []),
        f"tokens={TOKENS}", "optimizer.peak_lr=2e-2", "save_model=false",
    ])  # fmt: skip
    schedule = schedule_of(facts["schedule"])
    rates = learning_rates(schedule, 2e-2, STEP, TOKENS)
    last = max(rows, key=lambda row: row["step"])
    assert last["step"] == 20
    assert last["lr"] == rates[-1]
    assert last["lr_area"] == lr_area(rates)[-1]
    assert last["anneal_area"] == anneal_area(rates)[-1]
    assert facts["lr_is_constant_after_warmup"] == (name == "constant")
    if name == "rewarm":
        assert schedule.start == pytest.approx(0.05)  # 1e-3, the base's last LR, over 2e-2
    table = Runs(path=str(tmp_path), valid_from=0).read()
    known = base_areas(facts["base"])
    assert known["base_potential"] == pytest.approx(0.1)
    assert set(table["base_lr_area"]) == {known["base_lr_area"]}


def test_another_lambda_recomputes_the_areas_of_run_and_base(study, base, tmp_path):
    _, facts, _ = train([*study, f"runs={tmp_path}", f"model.base_run={base}", "lr_schedule=wsd", "save_model=false",
                         f"tokens={TOKENS}", "optimizer.peak_lr=2e-2"])  # fmt: skip
    rows = Runs(path=str(tmp_path), valid_from=0, anneal_decay=0.9).read()
    rates = learning_rates(WSD(), 2e-2, STEP, TOKENS)
    np.testing.assert_allclose(rows["anneal_area"], anneal_area(rates, 0.9)[rows["step"].astype(int) - 1])
    assert rows["base_anneal_area"][0] == base_areas(facts["base"], 0.9)["base_anneal_area"]
    assert rows["base_anneal_area"][0] != base_areas(facts["base"])["base_anneal_area"]


DECLARED = {"peak_lr": 4e-3, "tokens": 6400, "tokens_per_step": 64, "schedule": {"variant": "linear", "floor": 0.5}}


def test_the_history_of_an_open_model_is_declared_when_it_is_trained_or_when_it_is_read(study, base, tmp_path):
    place = [*study, f"runs={tmp_path}/a", "model=pretrained", f"model.path={tmp_path}/open", f"tokens={TOKENS}"]
    place = [o for o in place if not o.startswith(("model.size", "model.width", "model.depth", "model.heads",
                                                   "model.feed_forward", "model.base_run"))]  # fmt: skip
    (tmp_path / "open").mkdir()
    for file in (base / "model").iterdir():
        (tmp_path / "open" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match=r"lr_schedule=rewarm .* declare it with model\.lr_history"):
        open_point(compose_point([*place, "lr_schedule=rewarm"]))
    with pytest.raises(UserError, match=r"LR history of the base\.schedule\.variant is cosin"):
        open_point(compose_point([*place, "model.lr_history={peak_lr: 1e-3, tokens: 1e4, tokens_per_step: 64, "
                                  "schedule: {variant: cosin}}"]))  # fmt: skip
    text = "{peak_lr: 4e-3, tokens: 6400, tokens_per_step: 64, schedule: {variant: linear, floor: 0.5}}"
    declared = [*place, f"model.lr_history={text}", "lr_schedule=rewarm", "optimizer.peak_lr=4e-3"]
    _, facts, _ = train([*declared, f"runs={tmp_path}/b"])
    assert facts["schedule"]["start"] == pytest.approx(0.5)
    train([*place, "save_model=false"])
    without = Runs(path=f"{tmp_path}/a", valid_from=0).read()
    assert "base_lr_area" not in without.columns
    late = Runs(path=f"{tmp_path}/a", valid_from=0, base_lr_history=DECLARED).read()
    early = Runs(path=f"{tmp_path}/b", valid_from=0).read()
    assert late["base_lr_area"][0] == early["base_lr_area"][0]
    assert late["base_potential"][0] == pytest.approx(0.5)


@pytest.fixture(scope="module")
def trunk(study, base, tmp_path_factory):
    """A constant run of 20 steps that kept its checkpoints, and what all runs around it share."""
    common = [*study, f"model.base_run={base}", f"tokens={TOKENS}", "optimizer.peak_lr=2e-2", "mixture=static",
              "mixture.domain_share=0.5", f"runs={tmp_path_factory.mktemp('branches')}"]  # fmt: skip
    folder, _, _ = train([*common, "lr_schedule=constant", "lr_schedule.warmup_tokens=128", "checkpoint.every_steps=4",
                          "checkpoint.keep=9", "checkpoint.keep_finished=true"])  # fmt: skip
    return common, folder


def test_a_branch_is_the_run_from_the_start_bit_by_bit(trunk):
    common, folder = trunk
    cooled = [
        *common,
        "tokens=1600",
        "lr_schedule=wsd",
        "lr_schedule.warmup_tokens=128",
        "lr_schedule.decay_share=0.36",
    ]
    whole, whole_facts, whole_rows = train(cooled)
    branch, facts, rows = train([*cooled, f"branch.run={folder}", "branch.step=16"])
    assert branch != whole
    assert facts["branch"] == {"run_id": folder.name, "step": 16}
    assert facts["base"] == whole_facts["base"]
    same = ("tokens_seen", "tokens_by_corpus", "lr", "lr_area", "anneal_area", "loss_sum")
    kept = {(row["step"], row["domain"], row["split"]): [row[name] for name in same] for row in rows}
    wanted = {(row["step"], row["domain"], row["split"]): [row[name] for name in same] for row in whole_rows}
    assert {step for step, _, _ in kept} == {0} | {step for step, _, _ in wanted if step > 16}
    assert all(kept[key] == wanted[key] for key in kept)


def test_the_newest_checkpoint_is_left_from_where_none_is_named(trunk):
    common, folder = trunk
    point = open_point(compose_point([*common, "tokens=1600", "lr_schedule=trapezoid", "lr_schedule.decay_tokens=100",
                                      "lr_schedule.warmup_tokens=128", f"branch.run={folder}"]))  # fmt: skip
    assert point.trunk is not None
    assert point.trunk.step == 20


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["branch.step=10"], r"keeps no whole checkpoint at step 10 \(kept: 4, 8, 12, 16, 20\); choose branch\.step"),
        (["branch.step=16", "tokens=640"], r"the trunk is left at step 16, this run ends at 10"),
        (["branch.step=16", "lr_schedule.warmup_tokens=192"], r"at step 1 it had 0\.01 and lr_schedule gives 0\.00666"),
        (["branch.step=16", "lr_schedule=wsd", "lr_schedule.decay_share=0.5", "lr_schedule.warmup_tokens=128"],
         r"at step 11 it had 0\.02 .*leave it at step 10 or before"),
        (["mixture.domain_share=0.25"], r"differs from this one in mixture; a branch may change lr_schedule and tokens"),
        (["seed=1", "optimizer.beta1=0.8"], r"differs from this one in optimizer, seed"),
        (["branch.run=nowhere"], r"nowhere holds no run\.json"),
    ],
)  # fmt: skip
def test_a_branch_that_is_none_is_refused(trunk, changes, sentence):
    common, folder = trunk
    given = [*common, "lr_schedule=constant", "lr_schedule.warmup_tokens=128", f"branch.run={folder}", *changes]
    with pytest.raises(UserError, match=sentence):
        open_point(compose_point(given))


@pytest.mark.parametrize(
    ("theirs", "named", "advised"),
    [
        ({"tokenizer_hash": "other"}, "tokenizer", True),
        ({"seed": 1}, "seed", False),
        ({"tokenizer_hash": "other", "seed": 1}, "seed, tokenizer", False),
    ],
)
def test_a_trunk_of_a_study_is_to_be_removed_where_its_text_or_base_changed_alone(
    trunk, tmp_path, theirs, named, advised
):
    common, folder = trunk
    copy = shutil.copytree(folder, tmp_path / ".trunks/0a")
    facts = json.loads((copy / "run.json").read_text())
    facts["tokenizer_hash"] = theirs.get("tokenizer_hash", facts["tokenizer_hash"])
    facts["config"]["seed"] = theirs.get("seed", facts["config"]["seed"])
    (copy / "run.json").write_text(json.dumps(facts))
    given = [*common, "lr_schedule=constant", "lr_schedule.warmup_tokens=128", f"branch.run={copy}", "tokens=1600"]
    with pytest.raises(UserError, match=f"differs from this one in {named}; a branch may") as refused:
        open_point(compose_point(given))
    assert (f"Remove {copy}, and the study trains its trunk anew" in str(refused.value)) == advised


def test_a_trunk_whose_mixture_depends_on_its_length_is_not_left(trunk, study):
    common, _ = trunk
    ramped = [*common, "mixture=ramp", "lr_schedule=constant", "lr_schedule.warmup_tokens=0"]
    ramped = [o for o in ramped if not o.startswith("mixture.domain_share")]
    folder, _, _ = train([*ramped, "checkpoint.every_steps=8", "checkpoint.keep_finished=true", "save_model=false"])
    with pytest.raises(UserError, match=r"mixture=ramp .*changes along the run"):
        open_point(compose_point([*ramped, "tokens=1600", f"branch.run={folder}"]))
