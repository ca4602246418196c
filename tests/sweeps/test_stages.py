"""Streams of domains: stages as ordinary runs, what goes on from one to the next, what is refused before the first."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from cptlab.errors import UserError
from cptlab.metrics.streams import stages_of_runs
from cptlab.metrics.transfer import transfer
from cptlab.records.run import read_rows
from cptlab.records.run_folders import load_run
from cptlab.sweeps.preflight import check_points, compose_point
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


def test_a_stage_that_was_stopped_goes_on_from_its_own_checkpoint_not_from_the_stage_before(domains, tmp_path):
    keeps = ["stage.optimizer=keep", "checkpoint.every_steps=4", "checkpoint.keep=9", "checkpoint.keep_finished=true"]
    overrides = [*domains, *STREAM, *keeps, f"runs={tmp_path}"]
    first, second = stream(overrides)
    weights = load_file(second / "model" / "model.safetensors")
    (second / "done.json").unlink()
    for step in (8, 10):
        shutil.rmtree(second / "checkpoints" / f"step_{step}")
    shutil.rmtree(first / "checkpoints")  # no longer needed: the second has begun
    again = dict(train_stream(compose_point(overrides), overrides, quiet=True))
    assert [outcome.status for outcome in again.values()] == ["skipped", "finished"]
    assert json.loads((second / "done.json").read_text())["of_attempt"]["from_step"] == 4
    assert all(weights[name].equal(t) for name, t in load_file(second / "model" / "model.safetensors").items())


def rows_of(stream, step):
    batch = stream.batch(step)
    return {(int(c), row.tobytes()): bool(r) for c, row, r in zip(batch.corpus, batch.input_ids, batch.replayed, strict=True)}  # fmt: skip


@pytest.mark.parametrize("replay", ["buffer", "reservoir"])
def test_a_buffer_holds_the_rows_of_the_stages_before_or_of_this_one_alone(domains, trained, replay):
    config = compose_point([*domains, *STREAM, f"runs={trained[0].parent}"])
    own = stage_overrides(config, [*domains, *STREAM], 1, trained[0])
    asked = [f"replay={replay}", "replay.replay_share=0.5"]
    whole = open_point(compose_point([*own, *asked])).stream
    alone = open_point(compose_point([*own, *asked, "stage.buffer=stage"])).stream
    assert whole.batch(0).replayed.sum() == 2  # something was seen before the stage began
    assert alone.batch(0).replayed.sum() == 0
    assert whole.fresh_before(10) == 20
    before = open_point(compose_point(stage_overrides(config, [*domains, *STREAM], 0))).stream
    seen = {row for step in range(10) for row in rows_of(before, step)}
    replayed, sums = set(), whole.names.index("sums")
    for step in range(10):
        rows = rows_of(whole, step)
        assert all(row in seen for row, again in rows.items() if again)
        replayed |= {row[0] for row, again in rows.items() if again}
        seen |= {row for row, again in rows.items() if not again}
        assert all(row[0] != sums for row in rows_of(alone, step))
    assert sums in replayed
    assert whole.tokens_by_corpus(10)["sums"] == 16 * sum(
        int((whole.batch(step).corpus == sums).sum()) for step in range(10)
    )


def test_a_corpus_goes_on_where_the_stage_before_stopped_reading(domains, tmp_path):
    half = ["mixture=static", "mixture.domain_share=0.5", f"runs={tmp_path}"]
    first, second = stream([*domains, "stream=[sums,signs]", *TRAINED, *half])
    points = [open_point(compose_point(facts(folder)["overrides"])).stream for folder in (first, second)]
    prose = [np.concatenate([b.input_ids[b.corpus == 0] for b in map(s.batch, range(10))]) for s in points]
    assert [len(rows) for rows in prose] == [20, 20]
    assert not {row.tobytes() for row in prose[0]} & {row.tobytes() for row in prose[1]}


def test_importances_pass_from_stage_to_stage_and_the_first_stage_only_measures(domains, tmp_path):
    penalty = ["regularizer=si", "regularizer.strength=5", f"runs={tmp_path}"]
    first, second = stream([*domains, *STREAM, *penalty])
    strengths = [facts(folder)["config"]["regularizer"]["strength"] for folder in (first, second)]
    assert strengths == [0, 5]
    left = [load_file(folder / "importance.safetensors") for folder in (first, second)]
    assert all((left[1][name] >= left[0][name]).all() for name in left[0])  # Omega adds up
    assert any((left[1][name] > left[0][name]).any() for name in left[0])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["stream=[sums,sgins]"], "stream names the corpus sgins, which data does not have. Did you mean signs"),
        (["stream=[sums,sums]"], "sums twice in a row"),
        (["stream=[sums,prose]"], "stream names prose, the general corpus"),
        (["mixture=temperature"], "mixture=temperature has no domain"),
        (
            ["mixture=ramp", "mixture.start_shares={sums: 1}", "mixture.end_shares={signs: 1}"],
            "mixture=ramp with start_shares has no domain",
        ),
        (["mixture.domain=sums"], "mixture.domain is what stream sets"),
        (["save_model=false"], "stream needs save_model=true"),
        (["stage.follows=true"], "stage.follows is what stream sets"),
        (["stage.optimizer=kept"], "stage.optimizer is kept. Did you mean keep"),
        (["stage.buffer=all"], "stage.buffer is all."),
        (["stage.optimizer=keep", "adapter=lora"], "adapter=lora begins anew in every stage"),
        (["stage.optimizer=keep", "optimizer=schedule_free"], "the averages that optimizer=schedule_free left"),
        (["replay=adaptive"], "replay=adaptive decides while it trains"),
        (["data.max_epochs=0.01"], "(stage 2 of the stream, signs); nothing was started"),
        (["mixture=static", "data.general="], "mixture.domain_share below 1 needs a general corpus"),
    ],
)
def test_what_cannot_be_a_stream_is_refused_before_its_first_stage(domains, tmp_path, overrides, words):
    every = [*domains, *STREAM, f"runs={tmp_path}", *overrides]
    with pytest.raises(UserError) as found:
        check_points([every], streams=True)
    assert words in str(found.value)
    assert not list(tmp_path.iterdir())


def test_a_stage_refuses_another_tokenizer_another_text_and_a_base_that_is_no_run(domains, study, trained):
    config = compose_point([*domains, *STREAM])
    own = stage_overrides(config, [*domains, *STREAM], 1, trained[0])
    cases = {
        ("vocab=extend",): "would change the tokenizer within a stream",
        ("model.base_run=",): "the base is no run of cptlab",
        ("stage.optimizer=keep",): "no longer has the checkpoint of its last step",
    }
    for more, words in cases.items():
        with pytest.raises(UserError, match=words):
            open_point(compose_point([*own, *more]))
    other = [study[1] if each == domains[1] else each for each in own]
    with pytest.raises(UserError, match="had other text in signs"):
        open_point(compose_point([*other, "mixture.domain=sums"]))


def test_streams_of_a_grid_may_share_their_first_stage_and_are_no_points_of_a_study(domains, tmp_path):
    each = [*domains, *TRAINED, "mixture=domain_only", f"runs={tmp_path}"]
    points = [[*each, "stream=[sums,signs]"], [*each, "stream=[sums]"], [*each, "stream=[signs,sums]"]]
    first = [point.run_id for point in check_points(points, streams=True)]
    assert first[0] == first[1] != first[2]
    with pytest.raises(UserError, match="are the same run"):
        check_points([points[0], points[0]], streams=True)
    with pytest.raises(UserError, match="no point of a study"):
        check_points(points)


def test_a_third_stage_replays_the_first_and_a_corpus_that_comes_back_goes_on(domains, tmp_path):
    replay = ["replay=buffer", "replay.replay_share=0.25"]
    folders = stream(
        [*domains, "stream=[sums,signs,sums]", "mixture=domain_only", *replay, *TRAINED, f"runs={tmp_path}"]
    )
    orders = [open_point(compose_point(facts(folder)["overrides"])).stream for folder in folders]
    names = orders[0].names
    fresh = [
        {row for step in range(10) for row, again in rows_of(order, step).items() if not again} for order in orders
    ]
    again = [row for step in range(10) for row, replayed in rows_of(orders[2], step).items() if replayed]
    assert fresh[0].isdisjoint(fresh[2])
    assert {names[row[0]] for row in again} == {"sums", "signs"}
    assert set(again) <= fresh[0] | fresh[1] | fresh[2]
    assert [order.first_step for order in orders] == [0, 10, 20]
    assert [order.seen_before for order in orders] == [0, 31, 61]  # nothing to replay in the very first step
    matrix = stages_of_runs([load_run(folder) for folder in folders])
    assert matrix.trained_at("sums") == [1, 3]


def test_a_stream_begins_with_any_model_and_with_other_tokens(domains, trained, tmp_path):
    others = [each for each in domains if not each.startswith("model.")]
    pretrained = [*others, "model=pretrained", f"model.path={trained[0]}", f"runs={tmp_path}", *TRAINED]
    more = ["mixture=domain_only", "vocab=extend", "vocab.tokens=20"]
    folders = stream([*pretrained, *more, "stream=[signs,sums]"])
    assert facts(folders[0])["base"]["run_id"] == trained[0].name
    assert facts(folders[1])["base"]["run_id"] == folders[0].name
    hashes = {facts(folder)["tokenizer_hash"] for folder in folders}
    assert len(hashes) == 1
    assert hashes != {facts(trained[0])["tokenizer_hash"]}
    assert losses(folders[1], 0) == losses(folders[0], 10)


def test_the_command_prints_a_line_a_stage_and_the_matrix(domains, trained):
    command = [sys.executable, "train.py", *domains, *STREAM, f"runs={trained[0].parent}"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"stage 1 of 2, sums: skipped {trained[0]}: it is finished already")
    assert lines[1].startswith(f"stage 2 of 2, signs: skipped {trained[1]}: it is finished already")
    assert lines[3] == "loss [nat/token] after each stage"
    assert lines[-1] == f"cptlab metrics --stream {trained[0]} {trained[1]}"
    wrong = subprocess.run(
        [*command, "stream=[sums,sngs]"], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "Did you mean signs" in wrong.stderr
