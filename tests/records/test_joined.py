import numpy as np
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.records.joined import Joined
from cptlab.records.read_csv import CSV
from cptlab.records.read_runs import Runs
from cptlab.records.write_csv import write_csv

TABLE = """run,domain,num_params,tokens,domain_share,loss
x,code,3e4,500,0.5,3.25
x,prose,3e4,500,0.5,3.125
"""


@pytest.fixture
def table(tmp_path):
    def write(text: str = TABLE, name: str = "t.csv") -> dict[str, str]:
        (tmp_path / name).write_text(text)
        return {"csv": str(tmp_path / name), "general": "prose", "domain": "code"}

    return write


def test_parts_become_one_table_and_what_a_part_lacks_is_nan(make_run, table, tmp_path):
    make_run("a", steps=(10,))
    joined = Joined(parts=[table(), {"runs": str(tmp_path / "runs")}]).read()
    code = joined.of_domain("code")
    assert code.run.tolist() == ["a", "x"]
    np.testing.assert_array_equal(code["loss"], [3.0, 3.25])
    np.testing.assert_array_equal(code["domain_share"], [0.25, 0.5])
    np.testing.assert_array_equal(code["base_loss"], [4.0, np.nan])
    assert joined.origin == f"table {tmp_path}/t.csv and run records in {tmp_path}/runs"


def test_a_fit_leaves_out_a_row_only_where_its_law_needs_what_the_part_lacks(tmp_path):
    lines = [f"r{n}{d},{n},{d},{2 + n**-0.3 + d**-0.2}" for n in (1, 2, 4) for d in (1, 2, 4)]
    (tmp_path / "one.csv").write_text("run,num_params,tokens,loss\n" + "\n".join(lines[:6]) + "\n")
    (tmp_path / "two.csv").write_text(
        "run,num_params,tokens,loss,seed\n" + "\n".join(f"{x},0" for x in lines[6:]) + "\n"
    )
    rows = Joined(parts=[{"csv": str(tmp_path / f"{name}.csv")} for name in ("one", "two")]).read()
    assert np.isnan(rows["seed"]).sum() == 6
    assert cptlab.fit("chinchilla", rows, num_draws=0, heldout=False).num_points == 9


def test_a_corpus_outside_the_mixtures_of_a_part_has_share_zero_there(tmp_path):
    (tmp_path / "two.csv").write_text("run,tokens,loss,share_a,share_b\nx,1,3,0.25,0.75\n")
    (tmp_path / "three.csv").write_text("run,tokens,loss,share_a,share_b,share_c\ny,1,3,0.25,0.25,0.5\n")
    parts = [{"csv": str(tmp_path / f"{name}.csv"), "domain": "a"} for name in ("two", "three")]
    np.testing.assert_array_equal(Joined(parts=parts).read()["share_c"], [0, 0.5])


def test_a_run_in_two_parts_counts_once(make_run, tmp_path):
    make_run("a")
    make_run("b")
    alone = Runs(path=str(tmp_path / "runs")).read()
    write_csv(alone, tmp_path / "t.csv")
    joined = Joined(parts=[{"runs": str(tmp_path / "runs")}, {"csv": str(tmp_path / "t.csv")}]).read()
    for name in alone.columns:
        np.testing.assert_array_equal(joined[name], alone[name])
    assert joined.left_out["rows that two sources hold (counted once)"] == len(alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("3.25", "3.5"),
            r"run x is in table .*t\.csv and in table .*u\.csv with another loss \(3\.25 against 3\.5, code",
        ),
        (("3e4,500", "9e4,700"), r"run x is in .* with another num_params \(30000 against 90000"),
    ],
)
def test_parts_that_contradict_each_other_are_refused_with_run_and_place(table, change, message):
    parts = [table(), table(TABLE.replace(*change), "u.csv")]
    with pytest.raises(UserError, match=message):
        Joined(parts=parts).read()


def test_runs_of_different_tokenizers_are_refused_across_parts(make_run, tmp_path):
    make_run("a")
    make_run("b", tokenizer_hash="u")
    parts = [{"runs": str(tmp_path / "runs" / name)} for name in "ab"]
    with pytest.raises(UserError, match="different tokenizers cannot be fitted together: a against b"):
        Joined(parts=parts).read()


def test_the_parts_lend_their_sizes_rules_and_overrides(make_run, table, tmp_path):
    make_run("a")
    source = Joined(parts=[table(), {"runs": str(tmp_path / "runs"), "valid_from": 0.5}])
    source.read()
    assert source.sizes() == {30_000: "30k"}
    assert "from 0.5 of a run's tokens on" in source.rule
    assert source.overrides(30_000, 1000)[0] == "model.size=30k"
    assert [run["share"] for run in source.coverage()] == [0.25]
    assert source.n_definition == f"{CSV().n_definition}; {Runs().n_definition}"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (None, r"source\.parts is empty; write source\.parts=\[\{runs: FOLDER\}"),
        ([{"run": "x"}], r"source\.parts\[0\] is .* begin it with one of runs, csv, wandb.* Did you mean runs\?"),
        (["runs"], r"source\.parts\[0\] is 'runs'; begin it with one of"),
        ([{"runs": "x", "valid_form": 0.1}], r"source\.parts\[0\]\.valid_form is no key .* Did you mean valid_from\?"),
        ([{"runs": "x"}, {"csv": 3}], r"source\.parts\[1\]\.path is 3; it must be a text"),
        ([{"runs": "x", "valid_from": "half"}], r"source\.parts\[0\]\.valid_from is 'half'; it must be a number"),
    ],
)
def test_parts_that_are_no_sources_are_answered_by_number(parts, message):
    with pytest.raises(UserError, match=message):
        Joined(parts=parts)
