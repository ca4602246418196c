"""Streams of domains: stages as ordinary runs, what goes on from one to the next, what is refused before the first."""

import json
import random

import numpy as np
import pytest
from safetensors.torch import load_file

from cptlab.metrics.streams import stages_of_runs
from cptlab.metrics.transfer import transfer
from cptlab.records.run import read_rows
from cptlab.records.run_folders import load_run
from cptlab.sweeps.preflight import compose_point
from cptlab.sweeps.stages import stage_overrides, train_stream
from cptlab.training.run import open_point, train_point

TRAINED = ["tokens=640", "optimizer.peak_lr=1e-2"]
STREAM = ["stream=[sums,signs]", "mixture=domain_only", *TRAINED]


@pytest.fixture(scope="module")
def domains(study, tmp_path_factory):
    """The tiny study with a second domain."""
    folder, rng = tmp_path_factory.mktemp("signs"), random.Random(1)
    lines = [json.dumps({"text": " ".join(rng.choices("<>^v#", k=60))}) for _ in range(400)]
    (folder / "signs.jsonl").write_text("\n".join(lines) + "\n")
    corpora = study[1].replace("}", f", signs: {folder}/signs.jsonl}}")
    return [study[0], corpora, *study[2:]]


def stream(overrides):
    found = list(train_stream(compose_point(overrides), overrides, quiet=True))
    assert [outcome.status for _, outcome in found] == ["finished"] * len(found), found
    return [outcome.folder for _, outcome in found]


def facts(folder):
    return json.loads((folder / "run.json").read_text())


def losses(folder, step):
    """{(corpus, split): loss [nat]} after a step."""
    return {(r["domain"], r["split"]): r["loss_sum"] for r in read_rows(folder) if r["step"] == step}


@pytest.fixture(scope="module")
def trained(domains, tmp_path_factory):
    return stream([*domains, *STREAM, f"runs={tmp_path_factory.mktemp('runs')}"])


def test_each_stage_is_a_run_from_the_weights_of_the_one_before(trained):
    first, second = trained
    assert facts(first)["base"]["kind"] == "scratch"
    assert facts(second)["base"]["run_id"] == first.name
    assert facts(second)["base"]["step"] == 10
    assert losses(second, 0) == losses(first, 10)  # what a stage begins with is what the one before ended with
    for folder, corpus in zip(trained, ("sums", "signs"), strict=True):
        assert read_rows(folder)[-1]["tokens_by_corpus"] == {"prose": 0, "sums": 0, "signs": 0} | {corpus: 640}
        assert facts(folder)["config"]["stream"] == []


def test_the_matrix_holds_every_corpus_after_every_stage(trained):
    matrix = stages_of_runs([load_run(folder) for folder in trained])
    assert matrix.trained == ["", "sums", "signs"]
    assert list(matrix.corpora) == ["prose", "sums", "signs"]
    for s, (folder, step) in enumerate([(trained[0], 0), (trained[0], 10), (trained[1], 10)]):
        rows = {r["domain"]: r for r in read_rows(folder) if r["step"] == step and r["split"] == "fit"}
        expected = [rows[name]["loss_sum"] / rows[name]["num_tokens"] for name in matrix.corpora]
        np.testing.assert_allclose(matrix.loss[s], expected, rtol=1e-12)
    assert transfer(matrix).backward["sums"].value == pytest.approx(matrix.loss[1, 1] - matrix.loss[2, 1])


def test_the_same_command_skips_what_is_finished_and_a_stage_has_the_run_id_of_its_own_command(domains, trained):
    overrides = [*domains, *STREAM, f"runs={trained[0].parent}"]
    config = compose_point(overrides)
    again = list(train_stream(config, overrides, quiet=True))
    assert [(outcome.status, outcome.folder) for _, outcome in again] == [("skipped", folder) for folder in trained]
    own = stage_overrides(config, overrides, 1, trained[0])
    assert open_point(compose_point(own)).folder.path == trained[1]
    plain = open_point(compose_point([*domains, "mixture=domain_only", "mixture.domain=sums", *TRAINED])).run_id
    assert plain == trained[0].name  # the first stage is a run like any other


def test_a_stage_that_keeps_its_optimizer_goes_on_bit_by_bit_as_one_long_run(domains, tmp_path):
    common = [*domains, "mixture=domain_only", "mixture.domain=sums", "optimizer.peak_lr=1e-2", f"runs={tmp_path}"]

    def run(*more):
        outcome = train_point(compose_point([*common, *more]), [*common, *more], quiet=True)
        assert outcome.status == "finished", outcome.reason
        return outcome.folder

    long = run("tokens=1280")
    half = run("tokens=640", "checkpoint.keep_finished=true")
    follows = ["tokens=640", f"model.base_run={half}", "stage.follows=true"]
    kept, reset = (run(*follows, f"stage.optimizer={policy}") for policy in ("keep", "reset"))
    end = load_file(long / "model" / "model.safetensors")
    assert all(end[name].equal(tensor) for name, tensor in load_file(kept / "model" / "model.safetensors").items())
    assert losses(kept, 10) == losses(long, 20)
    assert losses(reset, 10) != losses(long, 20)
    assert kept.name != reset.name
    assert read_rows(kept)[-1]["unique_tokens_by_corpus"]["sums"] == 640
