"""The disk that stored answers need: counted from the order as the store counts it, and refused before a grid starts."""

import pytest
import torch

from cptlab.data.earlier import Earlier
from cptlab.errors import UserError
from cptlab.sweeps.planned import plan_point
from cptlab.sweeps.preflight import check_points, compose_point
from cptlab.training import stored_size
from cptlab.training.before import order_of, plan_later
from cptlab.training.checkpoint.disk import MARGIN
from cptlab.training.run import open_point
from cptlab.training.stored_answers import distinct
from cptlab.training.stored_size import most_rows, size_of, vocabulary_of

STORED = ["regularizer=kl_to_base", "regularizer.rows=all", "regularizer.source=stored"]
MIXED = ["mixture=static", "data.max_epochs=1000"]


def counted(stream, kind):
    """Rows that the store would ask the base for."""

    def chosen(rows):
        flags = {"replayed": rows["replayed"], "general": rows["corpus"] == 0}.get(
            kind, torch.ones(len(rows["corpus"]))
        )
        return flags.nonzero()[:, 0]

    return len(distinct(stream, chosen)["corpus"])


@pytest.mark.parametrize(
    "overrides",
    [["replay=none"], ["replay=fixed", "replay.replay_share=0.5"], ["replay=buffer", "replay.replay_share=0.5"],
     ["replay=fixed", "tokens=96000", "data.packing=best_fit"]],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["all", "general", "replayed"])
def test_rows_are_counted_from_the_order_as_the_store_counts_them(study, overrides, kind):
    stream = open_point(compose_point([*study, *MIXED, *overrides])).stream
    exact, most = counted(stream, kind), most_rows(stream, kind, "prose")
    assert exact <= most
    assert most == pytest.approx(exact, rel=0.02)  # rows of equal tokens
    assert (exact > 0) == (kind != "replayed" or "replay=none" not in overrides)


def test_a_buffer_adds_rows_of_the_stages_before(study):
    before = open_point(compose_point([*study, *MIXED]))
    config = compose_point([*study, "mixture=domain_only", "replay=buffer", "replay.replay_share=0.5"])
    stream = order_of(config, before.corpora, Earlier(before.stream))
    assert 0 < counted(stream, "general") <= most_rows(stream, "general", "prose") <= stream.replayed[:, 0].sum()


def test_bytes_by_hand_and_no_more_answers_than_tokens():
    assert size_of(rows=10, sequence_length=16, top_k=8, vocab_size=300) == 10 * 16 * 8 * 6
    assert size_of(10, 16, 10**9, 300) == 10 * 16 * 300 * 6
    assert vocabulary_of({}, 300) == 300
    assert vocabulary_of({"text_config": {"vocab_size": 320}, "vocab_size": 5}, 300) == 320


def test_a_grid_is_refused_before_it_starts_where_a_points_answers_do_not_fit(study, tmp_path, monkeypatch):
    points = [[*study, *STORED, f"regularizer.top_k={k}", f"runs={tmp_path}/runs"] for k in (8, 1_000_000_000)]
    few, all_tokens = (point.answers for point in check_points(points))
    assert (few, all_tokens) == (40 * 16 * 8 * 6, 40 * 16 * 300 * 6)
    monkeypatch.setattr(stored_size, "free_bytes", lambda path: MARGIN + all_tokens - 1)
    with pytest.raises(
        UserError, match=r"answers take 1\.15 MB and .*runs has .* free.*\(point 2 of 2.*nothing was start"
    ):
        check_points(points)
    assert not (tmp_path / "runs").exists()
    point = open_point(compose_point([*study, f"runs={tmp_path}/runs"]))
    with pytest.raises(UserError, match=r"the base's answers take 1\.15 MB"):
        plan_later(compose_point(points[1]), point.corpora, point.stream)


def test_a_plan_counts_the_answers_until_they_are_there(study, tmp_path):
    overrides = [*study, *STORED, "regularizer.top_k=8", f"runs={tmp_path}/runs"]
    point = open_point(compose_point(overrides))
    with_them = plan_point(point, overrides).disk
    store = point.folder.path / "base_answers"
    store.mkdir(parents=True)
    (store / "complete").touch()
    assert with_them - plan_point(open_point(compose_point(overrides)), overrides).disk == 40 * 16 * 8 * 6
