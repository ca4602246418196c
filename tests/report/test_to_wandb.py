"""fit_law.py wandb=project: the answer as an artifact, read back byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from cptlab.errors import UserError
from cptlab.fit_config import FitConfig
from cptlab.report.to_wandb import to_wandb

ROOT = Path(__file__).parents[2]


def read_back(name, folder):
    """{file: content} of the newest artifact of a name, by the real client."""
    import wandb

    root = Path(wandb.Api().artifact(f"{name}:latest").download(str(folder)))
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


@pytest.fixture
def answered(tmp_path):
    """A folder with an answer and a figure."""
    folder = tmp_path / "mine"
    (folder / "figures").mkdir(parents=True)
    (folder / "fit.json").write_text("[]\n")
    (folder / "report.html").write_text("<p>an answer")
    matplotlib.image.imsave(folder / "figures" / "share.png", np.zeros((2, 2)))
    return folder


@pytest.mark.slow
def test_fit_law_logs_its_answer_and_w_and_b_gives_it_back(wandb_server, tmp_path):
    out = tmp_path / "fit"
    table = ["source=csv", "source.path=docs/data/quickstart.csv", "source.domain=code", "law.min_irreducible=-10"]
    more = ["num_draws=20", "compare=false", "heldout=false", "report=false", f"out={out}", "wandb=answers"]
    done = subprocess.run([sys.executable, "fit_law.py", *table, *more], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "me/answers, artifact answer-fit:v0" in done.stdout
    got = read_back("me/answers/answer-fit", tmp_path / "back")
    assert got == {name: (out / name).read_bytes() for name in ("fit.json", "recommendation.json", "observations.csv")}
    key = os.environ["WANDB_API_KEY"].encode()
    assert [file for file in tmp_path.rglob("*") if file.is_file() and key in file.read_bytes()] == []


def test_an_answer_without_a_server_is_kept_and_sent_later(wandb_server, answered, tmp_path, monkeypatch):
    import wandb

    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()
    said = to_wandb(answered, "me/answered")
    monkeypatch.setenv("WANDB_BASE_URL", wandb_server.address)
    wandb.teardown()
    assert said.startswith("W&B does not answer (Connection refused): kept offline; `wandb sync ")
    assert not any(project == "answered" for _, project in wandb_server.runs)
    command = said.split("`")[1].split()
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    got = read_back("me/answered/answer-mine", tmp_path / "back")
    names = ("fit.json", "report.html", "figures/share.png")
    assert got == {name: (answered / name).read_bytes() for name in names}
    (run,) = wandb_server.runs["me", "answered"].values()
    assert "figures/share" in run.summary


@pytest.mark.parametrize("place", ["a/b/c", "my project", "/p"])
def test_a_place_that_cannot_be_is_refused_before_the_fit(place):
    with pytest.raises(UserError, match=r"wandb is .*; give project or entity/project"):
        FitConfig(out="fits/x", wandb=place)
