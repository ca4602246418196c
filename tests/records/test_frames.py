"""Sources as DataFrames."""

import pandas as pd
import pytest

from cptlab.errors import UserError
from cptlab.records.frames import read_csv, read_runs, to_frame
from cptlab.records.read_csv import CSV


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "losses.csv"
    path.write_text(
        "N,D,r,val,corpus\n1e6,0,0.3,3.0,law\n1e6,1e6,0.3,2.5,law\n1e6,2e6,0.3,,law\n1e6,1e6,0.3,2.2,prose\n"
    )
    return path


MAP = {"num_params": "N", "tokens": "D", "domain_share": "r", "loss": "val", "domain": "corpus"}


def test_a_csv_is_read_under_our_names_and_says_what_it_left_out(file):
    frame = read_csv(str(file), MAP, general="prose", domain="law")
    assert list(frame.columns[:5]) == ["run", "domain", "split", "base_id", "loss"]
    assert frame["loss"].tolist() == [2.5, 2.2]
    assert frame["share"].tolist() == pytest.approx([0.3, 0.7])
    assert frame["base_loss"].iloc[0] == 3.0
    assert sum(frame.attrs["left_out"].values()) == 2
    assert str(file) in frame.attrs["origin"]


def test_the_frame_holds_what_the_source_reads(file):
    rows = CSV(path=str(file), columns=MAP, general="prose", domain="law").read()
    pd.testing.assert_frame_equal(to_frame(rows), read_csv(file, MAP, general="prose", domain="law"))
    assert to_frame(rows)["domain"].tolist() == rows.domain.tolist()
    assert to_frame(rows)["base_id"].tolist() == rows.base.tolist()


def test_a_folder_without_runs_and_a_mistyped_column_are_refused(file, tmp_path):
    with pytest.raises(UserError, match="nothing does not exist: make runs"):
        read_runs(str(tmp_path / "nothing"))
    with pytest.raises(UserError, match=r"source\.columns\.token is no column of cptlab. Did you mean tokens?"):
        read_csv(str(file), {"token": "D"})
