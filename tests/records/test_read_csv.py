import os
from pathlib import Path

import numpy as np
import pytest

import cptlab
from cptlab.errors import UserError
from cptlab.records.read_csv import CSV
from cptlab.records.write_csv import write_csv

LAWDATA = Path(os.environ.get("CPTLAB_LAWDATA", Path(__file__).parents[3] / "shared" / "lawdata"))
LONG = """run,domain,r,D,val_loss
a,law,0.2,1e6,3.5
a,law,0.2,2e6,3.4
a,prose,0.2,1e6,3.0
b,law,0.8,1e6,3.1
"""
MAP = {"share": "r", "tokens": "D", "loss": "val_loss"}


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "t.csv") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_a_long_table_is_read_through_a_column_map(write):
    table = CSV(path=write(LONG), columns=MAP, constants={"num_params": 70e6}).read()
    assert table.domains == ["law", "prose"]
    assert table.run.tolist() == ["a", "a", "a", "b"]
    np.testing.assert_allclose(table["loss"], [3.5, 3.0, 3.4, 3.1])  # in order of run, tokens, domain
    assert table.row.tolist() == [2, 4, 3, 5]
    np.testing.assert_allclose(table["num_params"], 70e6)
    assert set(table.split) == {"fit"}


def test_a_wide_table_with_one_share_gives_both_corpora_theirs(write):
    path = write("r_gen,step,pile,python\n0.25,10,2.9,1.5\n0.5,10,2.8,1.6\n")
    table = CSV(
        path=path, general="pile", domain="python", loss_columns={"pile": "pile", "python": "python"},
        columns={"general_share": "r_gen"}, constants={"tokens_per_step": 100}, base_loss={"pile": 2.7},
    ).read()  # fmt: skip
    python, pile = table.of_domain("python"), table.of_domain("pile")
    np.testing.assert_allclose(python["share"], [0.75, 0.5])
    np.testing.assert_allclose(pile["share"], [0.25, 0.5])
    np.testing.assert_allclose(python["domain_share"], pile["domain_share"])
    np.testing.assert_allclose(pile["tokens"], 1000)
    np.testing.assert_allclose(pile["base_loss"], 2.7)
    assert np.isnan(python["base_loss"]).all()
    assert len(set(table.run)) == 2
    assert set(python.run) == set(pile.run)


def test_rows_at_zero_tokens_give_the_base_loss(write):
    text = "run,tokens,share,loss\na,0,0.5,4.0\na,10,0.5,3.0\nb,10,0.6,2.9\n"
    table = CSV(path=write(text), domain="law").read()
    np.testing.assert_allclose(table["base_loss"], 4.0)  # b starts from the same base
    assert table["tokens"].tolist() == [10, 10]
    assert table.left_out == {"rows before the first update (they give base_loss)": 1}


def test_rows_without_a_loss_and_repeats_are_counted(write):
    text = "tokens,share,loss\n10,0.5,3.0\n10,0.5,3.0\n20,0.5,\n"
    table = CSV(path=write(text)).read()
    assert len(table) == 1
    assert table.left_out == {"rows without a loss (row 4)": 1, "rows that repeat an earlier one": 1}


def test_flops_and_size_give_tokens(write):
    table = CSV(path=write("num_params,flops,loss\n1e6,6e13,3\n")).read()
    assert table["tokens"].tolist() == [1e7]


@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_other_formats_give_the_same_table(write, tmp_path, suffix):
    import pandas as pd

    frame = pd.read_csv(write(LONG))
    path = tmp_path / f"t.{suffix}"
    if suffix == "tsv":
        frame.to_csv(path, sep="\t", index=False)
    elif suffix == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path)
    got, expected = CSV(path=str(path), columns=MAP).read(), CSV(path=write(LONG), columns=MAP).read()
    for name in expected.columns:
        np.testing.assert_array_equal(got[name], expected[name])
    assert got.run.tolist() == expected.run.tolist()


def test_observations_written_as_csv_are_read_back_unchanged(write, tmp_path):
    first = CSV(path=write(LONG), columns=MAP, constants={"num_params": 1 / 3 * 1e9}).read()
    write_csv(first, tmp_path / "o.csv")
    again = CSV(path=str(tmp_path / "o.csv")).read()
    for name in first.columns:
        np.testing.assert_array_equal(again[name], first[name])
    assert again.base.tolist() == first.base.tolist()


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (LONG, {"columns": {"loss": "val_los"}}, r"no column 'val_los'\. Did you mean val_loss\?"),
        (
            LONG,
            {"columns": {"los": "val_loss"}},
            r"source\.columns\.los is no column of cptlab\. Did you mean loss\?",
        ),
        (LONG.replace("3.4", "n/a"), {"columns": MAP}, r"t\.csv: row 3, column val_loss: 'n/a' is no number"),
        (LONG.replace("3.4", "0"), {"columns": MAP}, r"row 3, column val_loss: loss is 0; .* above 0"),
        (LONG.replace("3.4", "nan"), {"columns": MAP}, r"row 3, column val_loss"),
        (LONG.replace("0.8", "80"), {"columns": MAP}, r"row 5, column r: share is 80; .* in \[0, 1\]"),
        (
            LONG + "b,law,0.8,1e6,3.2\n",
            {"columns": MAP},
            r"row 6 contradicts row 5: law loss 3\.2 against 3\.1",
        ),
        (
            LONG,
            {"columns": MAP, "constants": {"num_params": "70M"}},
            r"num_params is '70M'; it must be a number",
        ),
        (LONG, {"columns": MAP, "constants": {"num_params": 0}}, r"source\.constants\.num_params is 0"),
        (LONG, {"columns": "loss"}, r"source\.columns is 'loss'; write it as"),
        (LONG, {"columns": MAP, "base_loss": {"law": -1}}, r"source\.base_loss\.law is -1"),
        ("loss\n", {}, "has no rows"),
        ("", {}, "is empty"),
        ("tokens,loss\n1,\n", {}, "no row with a loss"),
        (
            "a,b,s,t\n3,3,0.5,0.9\n",
            {
                "loss_columns": {"domain": "a", "general": "b"},
                "share_columns": {"domain": "s", "general": "t"},
            },
            r"shares of domain and general sum to 1\.4",
        ),
    ],
)
def test_bad_tables_are_answered_with_the_place(write, text, fields, message):
    with pytest.raises(UserError, match=message):
        CSV(path=write(text), **fields).read()


def test_a_file_that_is_not_there_is_answered_with_its_neighbour(write):
    path = write(LONG, "losses.csv")
    with pytest.raises(UserError, match=r"does not exist\. Did you mean losses\.csv\?"):
        CSV(path=path.replace("losses", "loses")).read()


def test_a_file_of_another_kind_is_refused(write):
    with pytest.raises(UserError, match=r"ends in '\.xlsx'; it must be one of \.csv, \.tsv, \.jsonl, \.parquet"):
        CSV(path=write("x", "t.xlsx")).read()


def test_bytes_that_are_no_utf8_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"loss,name\n3,\xff\xfe\n")
    with pytest.raises(UserError, match="is not UTF-8"):
        CSV(path=str(tmp_path / "t.csv")).read()


@pytest.mark.skipif(not LAWDATA.is_dir(), reason=f"no public loss data in {LAWDATA} (CPTLAB_LAWDATA)")
def test_the_published_python_table_has_five_runs_of_ten_checkpoints_for_two_corpora():
    table = CSV(
        path=str(LAWDATA / "cpt_pile_python_70m.csv"), general="pile", domain="python",
        loss_columns={"pile": "pile", "python": "python"}, columns={"general_share": "r_gen"},
        base_loss={"pile": 2.87337}, constants={"num_params": 18915328, "tokens_per_step": 1048576},
    ).read()  # fmt: skip
    assert {d: len(table.of_domain(d)) for d in table.domains} == {"pile": 50, "python": 50}
    assert len(set(table.run)) == 5


def test_a_row_with_an_empty_cell_is_left_out_by_a_law_that_needs_the_cell_and_named(write):
    lines = ["num_params,tokens,loss,seed"]
    lines += [
        f"{n:g},{d:g},{2 + (n / 1e6) ** -0.3 + (d / 1e6) ** -0.2},0" for n in (1e6, 2e6, 4e6) for d in (1e6, 3e6, 9e6)
    ]
    lines[2] = lines[2].replace("3e+06", "")
    lines[3] = lines[3].removesuffix("0")  # seed, which no law reads
    fit = cptlab.fit("chinchilla", CSV(path=write("\n".join(lines) + "\n")).read(), num_draws=0, heldout=False)
    assert fit.num_points == 8
    assert dict(fit.observations.left_out) == {"tokens is NaN or infinite in row 3": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [("[1]", "line 2 is no flat JSON object"), ("{", "line 2 is no JSON"), ('{"loss": {}}', "line 2")],
)
def test_a_line_that_is_no_flat_object_is_named(write, line, message):
    with pytest.raises(UserError, match=message):
        CSV(path=write('{"loss": 3}\n' + line + "\n", "t.jsonl")).read()
