"""The same records as run folders, CSV, JSON lines, Parquet and a W&B project give the same fit, bit by bit."""

import json

import numpy as np
import pandas as pd
import pytest
from origins import log_to_wandb, write_study

import cptlab
from cptlab.records.joined import Joined
from cptlab.records.read_csv import CSV
from cptlab.records.read_runs import Runs
from cptlab.records.read_wandb import WandB
from cptlab.records.write_csv import write_csv


@pytest.fixture
def study_runs(tmp_path):
    return write_study(tmp_path / "runs")


def parts_of_fit(table):
    fit = cptlab.fit("dcpt", table, domain="code", num_draws=8, heldout=False)
    return fit.theta.tobytes(), fit.draws.tobytes(), fit.objective, fit.observations.run.tolist()


@pytest.mark.slow
def test_a_fit_is_the_same_bit_by_bit_whatever_the_origin_and_the_order(study_runs, tmp_path, wandb_server):
    table = Runs(path=str(study_runs)).read()
    expected = parts_of_fit(table)
    assert len(expected[3]) == 60

    write_csv(table, tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    mixed = frame.sample(frac=1, random_state=1).rename(columns={"loss": "val_loss", "tokens": "D"})
    mixed.to_parquet(tmp_path / "t.parquet")
    with (tmp_path / "t.jsonl").open("w") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in mixed.to_dict("records"))
    columns = {"loss": "val_loss", "tokens": "D"}
    log_to_wandb(study_runs, "origins")
    tables = {
        "csv": CSV(path=str(tmp_path / "t.csv")).read(),
        "parquet": CSV(path=str(tmp_path / "t.parquet"), columns=columns).read(),
        "jsonl": CSV(path=str(tmp_path / "t.jsonl"), columns=columns).read(),
        "frame": frame[::-1],
        "wandb": WandB(project="me/origins", cache_dir=str(tmp_path / "cache")).read(),
        "joined": Joined(
            parts=[{"csv": str(tmp_path / "t.parquet"), "columns": columns}]
            + [{"runs": f"{study_runs}/r0{i}"} for i in (3, 1)]
        ).read(),
    }
    got = {name: parts_of_fit(table) for name, table in tables.items()}
    assert {name: parts == expected for name, parts in got.items()} == dict.fromkeys(tables, True)
    assert tables["wandb"].left_out == table.left_out
    assert set(tables["wandb"].columns) == set(table.columns)


def test_a_table_in_another_order_without_runs_gives_the_same_fit():
    rng = np.random.default_rng(3)
    size, tokens = (x.ravel() for x in np.meshgrid([1e6, 2e6, 4e6, 8e6], [1e6, 2e6, 4e6, 8e6]))
    loss = 2 + (size / 1e6) ** -0.3 + (tokens / 1e6) ** -0.2 + 0.001 * rng.standard_normal(16)
    frame = pd.DataFrame({"num_params": size, "tokens": tokens, "loss": loss})
    one, other = (cptlab.fit("chinchilla", f, num_draws=20) for f in (frame, frame.sample(frac=1, random_state=0)))
    assert one.theta.tobytes() == other.theta.tobytes()
    assert one.draws.tobytes() == other.draws.tobytes()
