"""Replay in real runs: each variant trains from the command line; what adapts decides the same again."""

import json

import numpy as np
import pytest

from cptlab.data.stream import TokenStream
from cptlab.errors import UserError
from cptlab.records.run import read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.adaptive_mixture import read_decisions
from cptlab.training.run import open_point, train_point

STEPS20 = ["tokens=1280", "save_model=false"]
LEARNS = ["mixture=domain_only", "replay=adaptive", "replay.interval=0.25", "optimizer.peak_lr=1e-2", *STEPS20]


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


def numbers(folder):
    """Rows of the last attempt without what differs between two runs of the same."""
    rows = read_rows(folder)
    return [{k: v for k, v in row.items() if k not in ("seconds", "attempt")} for row in rows if row["attempt"] == rows[-1]["attempt"]]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "rows"),
    [
        (["replay=none"], 0),
        (["replay=fixed", "replay.replay_share=0.25"], 20),
        (["replay=decaying", "replay.start=0.5", "replay.end=0"], 19),  # 80 rows x mean of .5 (1 - i / 20)
        (["replay=decaying", "replay.shape=exponential", "replay.start=0.4"], None),
        (["replay=adaptive"], None),
        (["replay=adaptive_gradnorm", "replay.interval=0.25"], None),
        (["replay=buffer", "replay.replay_share=0.25"], 19),  # nothing is seen before the first of 20 steps
        (["replay=reservoir", "replay.replay_share=0.25", "replay.capacity=8"], 19),
        (["replay=adaptive", "replay.interval=0.25", "mixture=ucb", "mixture.interval=0.2"], None),
    ],
)
def test_every_replay_trains_20_steps_from_the_command_line(study, tmp_path, overrides, rows):
    last = read_rows(train([*study, f"runs={tmp_path}", *STEPS20, *overrides]))[-1]
    assert last["step"] == 20
    assert sum(last["tokens_by_corpus"].values()) == 1280
    replayed = last["replay_tokens"] / 16
    if rows is not None:
        assert replayed == rows
    assert (replayed > 0) == (overrides != ["replay=none"])


@pytest.mark.parametrize("replay", ["buffer", "reservoir"])
def test_a_buffer_replays_rows_that_the_run_has_seen_and_gives_its_first_batch_to_the_mixture(study, replay):
    stream = open_point(compose_point([*study, f"replay={replay}", "replay.replay_share=0.5", "tokens=1280"])).stream
    assert isinstance(stream, TokenStream)
    assert not stream.batch(0).replayed.any()
    seen = set()
    for step in range(stream.steps):
        batch = stream.batch(step)
        rows = [row.tobytes() for row in batch.input_ids]
        assert {row for row, replayed in zip(rows, batch.replayed, strict=True) if replayed} <= seen
        assert batch.replayed.sum() == (2 if step else 0)
        seen |= {row for row, replayed in zip(rows, batch.replayed, strict=True) if not replayed}
    counted = sum(np.bincount(stream.batch(step).corpus, minlength=2) for step in range(stream.steps)) * 16
    assert list(stream.tokens_by_corpus(20).values()) == counted.tolist()


def test_a_buffers_batches_do_not_depend_on_where_a_run_is_taken_up(study):
    one, other = (open_point(compose_point([*study, "replay=reservoir", "replay.capacity=5", "replay.replay_share=0.5"])).stream for _ in range(2))  # fmt: skip
    forwards = [one.batch(step).input_ids for step in range(one.steps)]
    backwards = [other.batch(step).input_ids for step in reversed(range(other.steps))]
    for a, b in zip(forwards, reversed(backwards), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_share_follows_the_measured_drift_and_is_what_is_trained_on(study, tmp_path):
    base = train([*study, f"runs={tmp_path}", "mixture=general_only", "tokens=12800", "optimizer.peak_lr=1e-2"])
    overrides = [*study, *LEARNS, f"model.base_run={base}", f"runs={tmp_path}", "replay.minimum=0", "replay.scale=0.5"]
    folder = train(overrides)
    decisions = read_decisions(folder / "replay.jsonl")
    assert [line["step"] for line in decisions] == [5, 10, 15]
    rows = {(r["step"], r["domain"]): r["loss_sum"] / r["num_tokens"] for r in read_rows(folder) if r["split"] == "valid"}  # fmt: skip
    for line in decisions:
        assert line["base_loss"] == rows[0, "prose"]
        x = max(0, line["general_loss"] - line["base_loss"]) / 0.5
        assert line["decided"] == pytest.approx(0.5 * x / (1 + x))
    assert decisions[-1]["decided"] > 0.05  # the general loss has risen
    replayed = read_rows(folder)[-1]["replay_tokens"] / 16
    assert replayed == pytest.approx(sum(20 * line["decided"] for line in decisions), abs=1)


@pytest.mark.parametrize("signal", ["adaptive", "adaptive_gradnorm"])
def test_the_same_run_decides_the_same_and_takes_written_decisions_as_they_stand(study, tmp_path, signal):
    overrides = [*study, *LEARNS, f"replay={signal}", "replay.interval=0.25"]
    one, other = (train([*overrides, f"runs={tmp_path / name}"]) for name in ("one", "other"))
    written = (one / "replay.jsonl").read_text()
    assert written.count("\n") == 3
    assert (other / "replay.jsonl").read_text() == written
    assert numbers(one) == numbers(other)
    (other / "done.json").unlink()
    (other / "replay.jsonl").write_text(written[: written.index("\n") + 5])  # a crash left one line and a bit
    train([*overrides, f"runs={tmp_path / 'other'}"])
    assert (other / "replay.jsonl").read_text() == written
    assert numbers(other) == numbers(one)
    first = json.loads(written.splitlines()[0]) | {"decided": 0.45}
    (other / "done.json").unlink()
    (other / "replay.jsonl").write_text(json.dumps(first) + "\n")
    train([*overrides, f"runs={tmp_path / 'other'}"])
    assert read_decisions(other / "replay.jsonl")[0] == first
    assert numbers(other) != numbers(one)


def test_a_decision_of_another_run_ends_the_attempt_with_its_file_named(study, tmp_path):
    overrides = [*study, *LEARNS, f"runs={tmp_path}"]
    folder = train(overrides)
    (folder / "done.json").unlink()
    line = json.loads((folder / "replay.jsonl").read_text().splitlines()[0]) | {"step": 6}
    (folder / "replay.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(UserError, match=r"replay\.jsonl has a decision at step 6 where one at 5 belongs"):
        train_point(compose_point(overrides), overrides, quiet=True)


def test_divergence_without_a_general_corpus_is_refused_before_training(study):
    with pytest.raises(UserError, match=r"replay\.signal=divergence measures the general corpus"):
        compose_point([*study, "data.general=", "mixture=domain_only", "mixture.domain=sums", "replay=adaptive"])
