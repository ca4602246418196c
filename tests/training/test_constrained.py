"""A-GEM and GEM are refused where a step of the planned order has replayed rows alone, or none of them has any."""

import json
import random

import pytest
import torch

from cptlab.errors import UserError
from cptlab.replay.agem import AGEM
from cptlab.sweeps.preflight import compose_point
from cptlab.training.constrained import always_fresh
from cptlab.training.projection import Projection
from cptlab.training.run import open_point

WORDS = ["the", "river", "runs", "past", "an", "old", "mill", "where", "nobody", "grinds", "corn", "now"]
FIT = ["mixture=domain_only", "data.packing=best_fit", "data.max_epochs=1000", "tokens=12800"]


@pytest.fixture(scope="module")
def brief(study, tmp_path_factory):
    """The study with prose of 2 to 8 words a document, of which some rows hold little."""
    folder, rng = tmp_path_factory.mktemp("brief"), random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=rng.randrange(2, 9))) for _ in range(1000)]
    (folder / "brief.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    sums = next(each for each in study if each.startswith("data.corpora")).partition("sums: ")[2]
    kept = [each for each in study if not each.startswith("data.corpora")]
    return [*kept, f"data.corpora={{prose: {folder}/brief.jsonl, sums: {sums}"]


def share(value):
    return f"replay.replay_share={value}"


@pytest.mark.parametrize("replay", ["agem", "gem"])
def test_a_padded_step_of_replayed_rows_alone_is_refused_before_training(brief, tmp_path, replay):
    with pytest.raises(
        UserError, match=rf"replay={replay}: step \d+ of 200 would have no row of the mixture.*lower the"
    ):
        open_point(compose_point([*brief, *FIT, f"replay={replay}", share(0.75), f"runs={tmp_path}/runs"]))
    assert not (tmp_path / "runs").exists()


def test_what_cannot_be_filled_by_replay_is_known_without_the_order_and_right(brief):
    known, answers = {}, set()
    for rows, value, replay in [(4, 0.25, "fixed"), (8, 0.5, "fixed"), (64, 0.5, "fixed"), (4, 0.75, "fixed"),
                                (8, 0.85, "fixed"), (8, 0.5, "buffer"), (4, 0.75, "buffer")]:  # fmt: skip
        own = [*FIT, f"replay={replay}", share(value), f"rows_per_step={rows}"]  # the same order, refused for nothing
        stream = open_point(compose_point([*brief, *own]), known).stream
        fresh = stream.table.counts(0, stream.steps)[:, :-1].sum(axis=1).min()
        certain = always_fresh(stream, value)
        assert fresh > 0 or not certain
        answers.add((replay, certain, bool(fresh)))
    assert answers >= {("fixed", True, True), ("fixed", False, False), ("buffer", True, True)}
    assert any(not certain for replay, certain, _ in answers if replay == "buffer")


@pytest.mark.parametrize("mixture", ["domain_only", "static"])
def test_unpadded_rows_are_held_against_the_order_only_where_three_sources_share_it(study, mixture):
    stream = open_point(compose_point([*study, f"mixture={mixture}", "replay=agem", share(0.75)])).stream
    assert always_fresh(stream, 0.75) == (mixture == "domain_only")
    assert stream.table.counts(0, stream.steps)[:, :-1].sum(axis=1).min() > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (share(0), r"replay\.replay_share is 0, so replay=agem would change no gradient; give it a share"),
        (share(0.01), r"replay=agem: none of the 10 steps replays a row"),  # of 40 rows
        ("replay.source=buffer", None),
    ],
)
def test_a_run_that_would_replay_nothing_is_refused(study, tmp_path, given, message):
    overrides = [*study, "mixture=domain_only", "replay=agem", given, f"runs={tmp_path}/runs"]
    if message is None:
        assert open_point(compose_point(overrides)).stream.replayed.any()
        return
    with pytest.raises(UserError, match=message):
        open_point(compose_point(overrides))


def test_a_step_without_rows_of_the_mixture_does_not_descend_along_the_constraint():
    weight = torch.nn.Parameter(torch.ones(3))

    class Module:
        device, network = torch.device("cpu"), torch.nn.ParameterList([weight])

        def backward_passes(self, batch):
            weight.grad = torch.ones(3)
            return torch.tensor(5.0)

    loss = Projection(AGEM(), 2).backward(Module(), [{"group": 1}])  # type: ignore[arg-type]
    assert loss.item() == 0
    assert weight.grad is not None
    assert weight.grad.tolist() == [0, 0, 0]
