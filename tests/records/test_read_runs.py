import dataclasses
import json

import numpy as np
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.fitting.table import settled
from cptlab.laws.annealing import Annealing
from cptlab.laws.chinchilla import Chinchilla
from cptlab.records.joined import Joined
from cptlab.records.read_runs import Runs
from cptlab.records.run_source import BEFORE_UPDATE, SCRATCH, WARMUP
from cptlab.units import LR_DROP_NAMES

WSD = {"variant": "wsd", "warmup_tokens": 200, "decay_share": 0.4, "floor": 0.0}


@pytest.fixture
def runs(tmp_path):
    return lambda **fields: Runs(path=str(tmp_path / "runs"), **fields)


def test_rows_after_warmup_and_from_the_valid_interval_on_are_kept_and_the_rest_is_counted(make_run, runs):
    make_run("a")  # warm-up ends at 200 tokens; rows at 100, 200, 300, 500, 1000
    table = runs(valid_from=0.4).read()
    assert sorted(set(table["tokens"])) == [500, 1000]
    assert table.left_out == {
        BEFORE_UPDATE: 2,
        WARMUP: 4,
        "rows before the valid interval (source.valid_from=0.4)": 2,
    }


def test_columns_are_per_token_losses_and_achieved_shares(make_run, runs):
    make_run("a", steps=(10,))
    table = runs().read()
    code = table.of_domain("code")
    expected = {
        "loss": 3.0,
        "base_loss": 4.0,
        "share": 0.25,
        "domain_share": 0.25,
        "general_share": 0.75,
        "tokens": 1000,
        "num_params": 30_000,
        "share_prose": 0.75,
        "share_code": 0.25,
        "bytes_per_token": 3.5,
        "replay_share": 0.1,
        "unique_tokens": 250,
        "step": 10,
        "tokens_per_step": 100,
        "lr_area": 0.01,
        "peak_lr": 1e-3,
        "seed": 0,
    }
    np.testing.assert_allclose([code[name][0] for name in expected], list(expected.values()))
    prose = table.of_domain("prose")
    assert (prose["share"][0], prose["base_loss"][0]) == (0.75, 3.0)
    assert prose.base.tolist() == ["base30k"]


def test_the_general_corpus_is_that_of_the_records_where_they_agree(make_run, runs, tmp_path):
    make_run("a")
    make_run("b", seed=1)
    assert runs().read().general == "prose"
    frame = cptlab.read_runs(str(tmp_path / "runs"))
    frame = frame[frame["tokens"] > 300]
    assert cptlab.fit("chinchilla", frame, domain="code", num_draws=0, heldout=False, fixed={"A": 0.0, "alpha": 1.0}).observations.general == "prose"  # fmt: skip
    parts = [{"runs": str(tmp_path / "runs" / name)} for name in "ab"]
    assert Joined(parts=parts).read().general == "prose"
    make_run("c", general="code", domain="prose")
    assert runs().read().general == ""
    assert Joined(parts=[*parts, {"runs": str(tmp_path / "runs" / "c")}]).read().general == ""


def test_of_a_decaying_run_only_the_final_row_is_settled(make_run, runs):
    make_run("a", lr_is_constant_after_warmup=False, schedule=WSD)
    make_run("b")
    table = runs().read().of_domain("code")
    decaying = table.run == "a"
    assert table["tokens"][decaying].tolist() == [300, 500, 1000]
    assert table["lr_settled"][decaying].tolist() == [0, 0, 1]
    assert table["lr_settled"][~decaying].tolist() == [1, 1, 1]


def test_laws_without_lr_inputs_leave_out_the_rows_before_the_end_of_a_decaying_run(make_run, runs):
    make_run("a", lr_is_constant_after_warmup=False, schedule=WSD)
    make_run("b")
    table = runs().read()
    rows = settled(table, Chinchilla())
    assert sorted(zip(rows.run, rows["tokens"], strict=True))[:2] == [("a", 1000), ("a", 1000)]
    assert len(rows) == len(table) - 4
    assert {k: v for k, v in rows.left_out.items() if "decaying" in k} == {
        "rows before the end of a decaying run (law=chinchilla has no LR inputs)": 4
    }
    assert len(settled(table, Annealing())) == len(table)


def test_the_changes_of_the_lr_come_from_the_schedule_of_the_record(make_run, runs):
    make_run("a", lr_is_constant_after_warmup=False, schedule=WSD)
    table = runs().read().of_domain("code")
    changes = [table[name[0]] for name in LR_DROP_NAMES]
    # 10 steps: warm-up to 1e-3 at step 2, peak to step 6, then down to 0: the sum of all changes is minus the LR.
    np.testing.assert_allclose(np.sum(changes, axis=0), [-1e-3, -1e-3, 0], atol=1e-18)
    falls = [np.maximum(change, 0) for change in changes]
    np.testing.assert_allclose(np.sum(falls, axis=0), [0, 0, 1e-3], atol=1e-18)


def test_a_table_of_constant_runs_alone_has_no_columns_of_curves(make_run, runs):
    make_run("a")
    assert not [name for name in runs().read().columns if name.startswith(("lr_drop", "lr_settled"))]


def test_unfinished_failed_and_scratch_runs_are_left_out_by_name_and_reason(make_run, runs):
    make_run("good")
    make_run("bad", status="failed", reason="loss is NaN at step 3")
    make_run("open", status=None)
    make_run("base", base={"kind": "scratch"})
    table = runs().read()
    assert set(table.run) == {"good"}
    assert table.left_out["run bad (failed: loss is NaN at step 3)"] == 12
    assert table.left_out["run open (unfinished)"] == 12
    assert table.left_out[SCRATCH] == 12


def test_a_loss_that_is_not_finite_leaves_the_run_out(make_run, runs, tmp_path):
    make_run("good")
    make_run("nan", steps=(5,))
    file = tmp_path / "runs" / "nan" / "evals.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:-1], json.dumps(json.loads(lines[-1]) | {"loss_sum": float("nan")})]) + "\n")
    table = runs().read()
    assert set(table.run) == {"good"}
    assert "run nan (loss is not finite at step 5)" in table.left_out


def test_the_last_attempt_of_a_row_counts(make_run, eval_rows, runs, tmp_path):
    facts = make_run("a", steps=(10,))
    again = [dataclasses.asdict(row) for row in eval_rows(facts, 10, 0.25, {"code": 1.5}, attempt=2)]
    with (tmp_path / "runs" / "a" / "evals.jsonl").open("a") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in again)
    assert runs().read().of_domain("code")["loss"].tolist() == [1.5]


def test_splits_are_kept_apart(make_run, eval_rows, runs, tmp_path):
    facts = make_run("a", steps=(10,))
    with (tmp_path / "runs" / "a" / "evals.jsonl").open("a") as handle:
        for step, loss in ((0, 4.2), (10, 3.3)):
            for row in eval_rows(facts, step, 0.25, {"code": loss}, split="test"):
                handle.write(json.dumps(dataclasses.asdict(row)) + "\n")
    test = runs().read().of_domain("code", "test")
    assert (test["loss"].tolist(), test["base_loss"].tolist()) == ([3.3], [4.2])


def test_runs_on_different_held_out_text_are_refused_by_name(make_run, runs):
    corpora = make_run("a").corpora
    other = {"prose": corpora["prose"], "code": {"fit": corpora["code"]["fit"] | {"content_hash": "x"}}}
    make_run("b", corpora=other)
    with pytest.raises(UserError, match="different held-out rows cannot be fitted together: a against b"):
        runs().read()


def test_runs_with_different_tokenizers_are_refused_by_name(make_run, runs):
    make_run("a")
    make_run("b", tokenizer_hash="u")
    with pytest.raises(UserError, match="different tokenizers"):
        runs().read()


def test_no_finished_run_says_why_and_which_command_makes_some(make_run, runs):
    make_run("a", status="interrupted", reason="ctrl-c")
    with pytest.raises(UserError, match=r"no finished CPT run .*interrupted: ctrl-c.*python train\.py -m"):
        runs().read()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        Runs(path=str(tmp_path / "nowhere")).read()


def test_a_folder_a_glob_a_list_and_one_run_are_all_paths(make_run, tmp_path):
    make_run("a1")
    make_run("a2")
    make_run("b")
    root = tmp_path / "runs"
    found = [set(Runs(path=p).read().run) for p in (f"{root}/a*", f"{root}/a1,{root}/b", f"{root}/b")]
    assert found == [{"a1", "a2"}, {"a1", "b"}, {"b"}]


def test_a_broken_line_of_a_finished_run_is_named_with_its_number(make_run, runs, tmp_path):
    make_run("a", steps=(10,))
    with (tmp_path / "runs" / "a" / "evals.jsonl").open("a") as handle:
        handle.write('{"step": 3\n')
    with pytest.raises(UserError, match=r"evals\.jsonl: line 5 is no evaluation row"):
        runs().read()


def test_a_valid_interval_outside_the_run_is_refused():
    with pytest.raises(UserError, match=r"source\.valid_from is 1\.5"):
        Runs(valid_from=1.5)


def test_the_nearest_run_of_the_size_lends_its_overrides(make_run, runs):
    make_run("long", tokens_total=5000, overrides=["long"])
    make_run("near", tokens_total=1000, overrides=["near"])
    make_run("seed", tokens_total=1000, overrides=["seed"], seed=3)
    make_run("big", num_params_nonembed=300_000, overrides=["big"])
    source = runs()
    source.read()
    assert source.overrides(30_000, 1200) == ["near"]
    assert source.overrides(7e9, 1200) is None
    assert source.sizes()[30_000] == "30k"


def test_coverage_tells_failed_runs_from_finished_ones(make_run, runs):
    make_run("a")
    make_run("b", status="failed", reason="out of memory", seed=2)
    source = runs()
    source.read()
    assert [(row["status"], row["seeds"], row["share"]) for row in source.coverage()] == [
        ("finished", [0], 0.25),
        ("failed", [2], 0.25),
    ]


def test_runs_evaluated_on_other_rows_are_refused(make_run, runs):
    make_run("a")
    make_run("b", sequence_length=64)
    with pytest.raises(UserError, match="different held-out rows cannot be fitted together"):
        runs().read()


def test_runs_of_two_learning_rates_are_fitted_with_a_caution(make_run, runs):
    make_run("a")
    make_run("b", peak_lr=0.01)
    source = runs()
    source.read()
    assert "CAUTION: these runs differ in peak_lr (" in source.rule


def test_a_law_of_the_lr_says_which_runs_it_needs(make_run, runs):
    make_run("a")
    with pytest.raises(UserError, match=r"no column lr_drop_00 .* need runs of which at least one decays"):
        cptlab.fit("multi_power", runs().read(), domain="code")


def test_a_branch_lends_the_overrides_of_its_whole_run(make_run, runs):
    trunk = ["branch.run=runs/.trunks/0a", "branch.step=7", "+branch.step=7"]
    make_run("branch", tokens_total=1000, overrides=["model.size=30k", *trunk, "tokens=1000"])
    source = runs()
    source.read()
    assert source.overrides(30_000, 1000) == ["model.size=30k", "tokens=1000"]


def test_one_of_two_records_of_a_run_that_left_two_trunks_is_read(make_run, runs):
    config = {"tokens": 1000, "machine": {"threads": 2}, "branch": {"run": "runs/.trunks/0a", "step": 7}}
    make_run("a", config=config)
    make_run("b", config=config | {"machine": {"threads": 1}, "branch": {"run": "runs/.trunks/0b", "step": 5}})
    make_run("c", config=config | {"tokens": 2000})
    make_run("d", config=config | {"branch": {"run": "", "step": 0}}, seed=1)  # whole, and of another seed
    read = runs().read()
    assert set(read.run.tolist()) == {"a", "c", "d"}
    [(reason, count)] = [(why, n) for why, n in read.left_out.items() if "trunk" in why]
    assert reason == "run b (the same as a, off another trunk)"
    assert count > 0
