"""Mixtures in real runs: each trains from the command line, and one that learns decides the same again."""

import json
import signal
import time
from itertools import pairwise

import numpy as np
import pytest

from cptlab.data.stream import evaluation_batch
from cptlab.errors import UserError
from cptlab.mixtures.ucb import UCB
from cptlab.records.run import RunFolder, read_rows
from cptlab.sweeps.preflight import compose_point
from cptlab.training.adaptive_mixture import read_decisions
from cptlab.training.evaluate import measure
from cptlab.training.module import CPTModule
from cptlab.training.network import Network
from cptlab.training.row_scores import write_row_scores
from cptlab.training.run import open_point, train_point
from cptlab.training.steering import steering as steering_of

STEPS20 = ["tokens=1280", "save_model=false"]
LEARNS = ["mixture=ucb", "mixture.interval=0.25", *STEPS20]
SHARES = [0.5, 0.5]


def train(overrides):
    outcome = train_point(compose_point(overrides), overrides, quiet=True)
    assert outcome.status == "finished", outcome.reason
    return outcome


def numbers(folder):
    """Rows of the last attempt without what differs between two runs of the same."""
    rows = read_rows(folder)
    last = [row for row in rows if row["attempt"] == rows[-1]["attempt"]]
    return [{k: v for k, v in row.items() if k not in ("seconds", "attempt")} for row in last]


def achieved(folder):
    """Share of the domain in all tokens of the run."""
    tokens = read_rows(folder)[-1]["tokens_by_corpus"]
    return tokens["sums"] / sum(tokens.values())


@pytest.fixture(scope="module")
def base(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    return train([*study, f"runs={folder}", "mixture=general_only"]).folder


@pytest.mark.parametrize(
    ("overrides", "share"),
    [
        (["mixture=static", "mixture.shares={prose: 0.8, sums: 0.2}"], 0.2),
        (["mixture=bilingual"], 0.5),
        (["mixture=domain_only"], 1.0),
        (["mixture=general_only"], 0.0),
        (["mixture=phased", "mixture.fractions=[0.25, 0.75]", "mixture.domain_shares=[0, 1]"], 0.75),
        (["mixture=ramp", "mixture.start=0", "mixture.end=1"], 0.525),
        (["mixture=temperature", "mixture.temperature=1e6"], 0.5),
        (["mixture=unimax"], 0.5),
        (["mixture=subset_epochs", "mixture.epochs=2"], 0.5),
        (["mixture=rehydrate", "mixture.cluster_size={prose: 5}"], None),
        (["mixture=rehydrate", "mixture.removed_share={prose: 0.2, sums: 0.6}"], None),
        (["mixture=domain_order", "mixture.order=[sums, prose]"], 0.5),
        (["mixture=topic_adaptive", "mixture.interval=0.25"], None),
        (["mixture=ucb", "replay=fixed", "replay.replay_share=0.25"], None),
    ],
)
def test_every_mixture_trains_from_the_command_line_on_top_of_a_base(study, base, tmp_path, overrides, share):
    folder = train([*study, f"runs={tmp_path}", f"model.base_run={base}", *STEPS20, *overrides]).folder
    assert 0 < achieved(folder) < 1 or share in (0, 1)
    if share is not None:
        assert achieved(folder) == pytest.approx(share, abs=1 / 80)


@pytest.mark.parametrize("general", ["general", "language"])
def test_code_augmented_trains_beside_a_corpus_named_language_or_the_general_one(study, tmp_path, general):
    files = next(word for word in study if word.startswith("data.corpora="))
    renamed = [f"data.general={general}" if word.startswith("data.general=") else word for word in study]
    renamed[renamed.index(files)] = files.replace("{prose:", f"{{{general}:").replace("sums:", "code:")
    outcome = train([*renamed, f"runs={tmp_path}", *STEPS20, "mixture=code_augmented"])
    tokens = read_rows(outcome.folder)[-1]["tokens_by_corpus"]
    assert tokens == {general: 960, "code": 320}
    # A run_id of the preset is that of the static mixture which it stands for.
    if general == "language":
        shares = "mixture.shares={language: 0.75, code: 0.25}"
        assert open_point(compose_point([*renamed, *STEPS20, "mixture=static", shares])).run_id == outcome.run_id


def test_decisions_rest_on_the_valid_split_and_steer_what_is_trained_on(study, tmp_path):
    folder = train([*study, *LEARNS, f"runs={tmp_path}"]).folder
    decisions = read_decisions(folder / "mixture.jsonl")
    assert [line["step"] for line in decisions] == [5, 10, 15]
    valid = {row["domain"]: row["loss_sum"] / row["num_tokens"] for row in read_rows(folder)
             if row["split"] == "valid" and row["step"] == 0}  # fmt: skip
    assert decisions[0]["before"] == [valid["prose"], valid["sums"]]
    assert decisions[0]["weights"] == SHARES
    for line, following in pairwise(decisions):
        assert following["weights"] == line["decided"]
        assert following["before"] == line["now"]
        assert following["rows"] == pytest.approx([20 * share for share in line["decided"]], abs=1.5)
    planned = [SHARES, *(line["decided"] for line in decisions)]
    assert achieved(folder) == pytest.approx(np.mean([share for _, share in planned]), abs=1 / 80)


def test_the_same_run_in_another_folder_decides_the_same(study, tmp_path):
    one, other = (train([*study, *LEARNS, f"runs={tmp_path / name}"]) for name in ("one", "other"))
    assert one.run_id == other.run_id
    assert (one.folder / "mixture.jsonl").read_text() == (other.folder / "mixture.jsonl").read_text()
    assert numbers(one.folder) == numbers(other.folder)


@pytest.mark.parametrize("mixture", ["ucb", "topic_adaptive"])
def test_a_run_that_was_killed_after_some_decisions_takes_the_same_ones_again(study, command, tmp_path, mixture):
    overrides = [*study, f"mixture={mixture}", "mixture.interval=0.05", "tokens=19200", "save_model=false"]
    whole = train([*overrides, f"runs={tmp_path / 'whole'}"]).folder
    cut = tmp_path / "cut" / whole.name / "mixture.jsonl"
    process = command([*overrides, f"runs={tmp_path / 'cut'}"])
    deadline = time.monotonic() + 120
    while not (cut.exists() and cut.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        assert process.process.is_alive(), process.output()
        time.sleep(0.005)
    process.send(signal.SIGKILL)
    before = cut.read_text()
    assert 3 <= before.count("\n") < 19
    assert not (cut.parent / "done.json").exists()
    cut.write_text(before + '{"step": 9')  # and the crash cut a line
    train([*overrides, f"runs={tmp_path / 'cut'}"])
    assert cut.read_text() == (whole / "mixture.jsonl").read_text()
    assert cut.read_text().startswith(before)
    assert numbers(cut.parent) == numbers(whole)


def test_a_written_decision_is_followed_and_not_taken_anew(study, tmp_path):
    folder = train([*study, *LEARNS, f"runs={tmp_path}"]).folder
    file = folder / "mixture.jsonl"
    first = json.loads(file.read_text().splitlines()[0]) | {"decided": [0.1, 0.9]}
    file.write_text(json.dumps(first) + "\n")
    (folder / "done.json").unlink()
    train([*study, *LEARNS, f"runs={tmp_path}"])
    decisions = read_decisions(file)
    assert decisions[0] == first
    assert decisions[1]["weights"] == [0.1, 0.9]
    assert decisions[1]["rows"] == [2, 18]


@pytest.mark.parametrize("change", [{"step": 6}, {"corpora": ["prose", "law"]}])
def test_a_decision_of_another_run_ends_the_attempt_with_its_file_named(study, tmp_path, change):
    folder = train([*study, *LEARNS, f"runs={tmp_path}"]).folder
    file = folder / "mixture.jsonl"
    file.write_text(json.dumps(json.loads(file.read_text().splitlines()[0]) | change) + "\n")
    (folder / "done.json").unlink()
    overrides = [*study, *LEARNS, f"runs={tmp_path}"]
    with pytest.raises(UserError, match=r"mixture\.jsonl has a decision"):
        train_point(compose_point(overrides), overrides, quiet=True)


class Seen:
    """What a callback needs of a recorder."""

    def __init__(self, path):
        self.folder = RunFolder(path)


def test_a_checkpoint_holds_every_decision(study, tmp_path):
    folder = train([*study, *LEARNS, f"runs={tmp_path}"]).folder
    (tmp_path / "copy").mkdir()

    def steering(path):
        point = open_point(compose_point([*study, *LEARNS]))
        return steering_of(point.config, point.stream, Seen(path))[0], point.stream

    state = steering(folder)[0].state_dict()
    fresh, stream = steering(tmp_path / "copy")
    assert stream.planned_steps == 5
    fresh.load_state_dict(json.loads(json.dumps(state)))
    assert stream.planned_steps == 20
    assert (tmp_path / "copy" / "mixture.jsonl").read_text() == (folder / "mixture.jsonl").read_text()
    np.testing.assert_equal(fresh.state_dict(), state)  # losses not yet measured are no numbers


def test_what_is_decided_does_not_change_the_run_id_but_how_does(study, tmp_path):
    before = open_point(compose_point([*study, *LEARNS, f"runs={tmp_path}"])).run_id
    assert train([*study, *LEARNS, f"runs={tmp_path}"]).run_id == before
    assert open_point(compose_point([*study, *LEARNS, f"runs={tmp_path}"])).run_id == before
    assert open_point(compose_point([*study, *LEARNS, "mixture.temperature=0.4"])).run_id != before


def test_decisions_that_are_no_shares_are_never_written(study, tmp_path):
    class Broken(UCB):
        def decide(self, history):
            return np.array([np.nan, 1.0])

    config = compose_point([*study, *LEARNS, f"runs={tmp_path}"])
    config.mixture = Broken(interval=0.25)
    outcome = train_point(config, [], quiet=True)
    assert outcome.status == "failed"
    assert "are no shares" in outcome.reason
    assert not (outcome.folder / "mixture.jsonl").exists()


def test_scores_of_rows_are_their_losses_under_the_base_and_order_a_curriculum(study, base, tmp_path):
    common = [*study, f"model.base_run={base}", f"runs={tmp_path}", *STEPS20]
    config = compose_point(common)
    scores = write_row_scores(config, "sums", tmp_path / "sums.npy", batch_rows=7)
    point = open_point(config)
    assert scores.shape == (len(point.stream.rows[1]),)
    corpus = point.corpora.corpora["sums"]["train"]
    model = config.model.build(point.corpora.vocab_size, config.data.sequence_length, 0)
    module = CPTModule(Network(model, config.objective), config.optimizer, config.lr_schedule, 1, 1)
    everything = evaluation_batch(corpus, len(scores), point.stream.sequence_length, point.corpora.eos_id)
    measured = measure(module, everything, point.corpora.token_bytes, 64)
    assert -scores.mean() == pytest.approx(measured.loss_sum / measured.num_tokens, rel=1e-3)
    overrides = [*common, "mixture=perplexity_curriculum", f"mixture.scores={{sums: {tmp_path}/sums.npy}}"]
    assert achieved(train(overrides).folder) == 0.5


def test_scores_enter_the_run_id_by_their_content(study, tmp_path):
    rows = len(open_point(compose_point(study)).stream.rows[1])

    def identity(name, scores):
        np.save(tmp_path / f"{name}.npy", scores)
        chosen = ["mixture=subset_epochs", "mixture.choose=best", f"mixture.scores={{sums: {tmp_path}/{name}.npy}}"]
        return open_point(compose_point([*study, *chosen])).run_id

    assert identity("a", np.arange(rows)) == identity("b", np.arange(rows))
    assert identity("a", np.arange(rows)) != identity("c", np.arange(rows)[::-1])


def test_an_unknown_corpus_is_not_scored(study, tmp_path):
    with pytest.raises(UserError, match=r"names the corpus sum, .* Did you mean sums\?"):
        write_row_scores(compose_point(study), "sum", tmp_path / "x.npy")
