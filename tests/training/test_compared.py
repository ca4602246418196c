"""KL to the base is refused where the order of the run holds no row to compare on, and trained where it holds one."""

import pytest

from cptlab.data.earlier import Earlier
from cptlab.errors import UserError
from cptlab.sweeps.preflight import compose_point
from cptlab.training.before import order_of
from cptlab.training.run import open_point

KL, DOMAIN, GENERAL = "regularizer=kl_to_base", "mixture=domain_only", "regularizer.rows=general"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([DOMAIN, GENERAL], r"on general rows, and none of the 10 steps trains on one; give the mixture a share of prose"),
        ([DOMAIN, GENERAL, "replay=buffer"], "on general rows, and none"),
        ([DOMAIN, GENERAL, "replay=fixed", "replay.corpus=sums"], "on general rows, and none"),
        (["replay=fixed", "replay.replay_share=0"], r"on replayed rows, and none.*raise the share of replay, or set"),
        (["replay=fixed", "replay.replay_share=0.01"], "on replayed rows, and none"),  # of 40 rows
        (["replay=decaying", "replay.start=0", "replay.end=0"], "on replayed rows, and none"),
        (["replay=adaptive", "replay.minimum=0", "replay.maximum=0"], "on replayed rows, and none"),
        ([DOMAIN, GENERAL, "replay=agem"], "on general rows, and none of the 10 steps trains on one"),
        (["replay=buffer", "tokens=64"], "on replayed rows, and none of the 1 steps"),  # nothing is seen yet
    ],
)  # fmt: skip
def test_an_order_without_a_row_to_compare_on_is_refused_before_training(study, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        open_point(compose_point([*study, KL, *overrides, f"runs={tmp_path}/runs"]))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        ["mixture=static", GENERAL], ["replay=fixed"], [DOMAIN, GENERAL, "replay=fixed"], ["replay=buffer"],
        [DOMAIN, "replay=agem", "regularizer.rows=all"], ["replay=gem", GENERAL],
        ["replay=adaptive", "replay.minimum=0"], [DOMAIN, "regularizer.rows=all"],
        ["mixture=ucb", "mixture.interval=0.5", GENERAL], ["mixture=general_only", GENERAL, "regularizer.source=stored"],
    ],
    ids=lambda overrides: "-".join(each.partition("=")[2] for each in overrides),
)  # fmt: skip
def test_an_order_with_such_a_row_or_that_may_come_to_one_is_taken(study, overrides):
    config = compose_point([*study, KL, "mixture=static", *overrides])
    stream = open_point(config).stream
    if stream.planned_steps == stream.steps:
        rows = [stream.batch(step) for step in range(stream.steps)]
        kind = config.regularizer.rows
        assert kind == "all" or any(b.replayed.any() if kind == "replayed" else (b.corpus == 0).any() for b in rows)


def test_a_buffer_counts_the_rows_of_the_stages_before_where_it_holds_them(study):
    before = open_point(compose_point([*study, "mixture=static"]))
    config = compose_point([*study, KL, DOMAIN, GENERAL, "replay=buffer", "replay.replay_share=0.5"])
    stream = order_of(config, before.corpora, Earlier(before.stream))
    assert stream.replayed[:, 0].sum() > 0
    with pytest.raises(UserError, match="on general rows, and none of the 10 steps"):
        order_of(config, before.corpora, Earlier(before.stream, in_buffer=False))
