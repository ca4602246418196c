"""A corpus that a method needs and the data do not have is refused before a tokenizer is trained or a corpus built."""

import pytest

from cptlab.data.sources.files import Files
from cptlab.data.sources.installed_packages import InstalledPackages
from cptlab.errors import UserError
from cptlab.sweeps.preflight import check_points, compose_point
from cptlab.training.run import open_point

ALONE = ["mixture=domain_only", "mixture.domain=sums", "data.general="]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([*ALONE, "regularizer=ewc"], r"measures the Fisher information on old text and the study names none"),
        (["regularizer=ewc", "regularizer.corpus=proze"], r"regularizer\.corpus is proze, no corpus here\. Did you mean"),
        ([*ALONE, "regularizer=kl_to_base", "regularizer.rows=general"], r"names no general corpus; set data\.general"),
        (["objective=weighted", "objective.weights={summs: 2}"], r"names summs, which is none.* Did you mean sums\?"),
        (["replay=fixed", "replay.corpus=proze"], r"replay\.corpus is proze, which data does not have\. Did you mean"),
        ([*ALONE, "replay=mer", "replay.every=2"], r"replay\.corpus is empty and data\.general too; name one of prose, su"),
        (["replay=mer", "replay.every=11"], r"replay\.every is 11 steps but the run has 10"),
        (["replay=agem", "replay.replay_share=0.9"], r"leaves some steps of rows_per_step=4 no row of the mixture"),
        (["mixture=domain_only", "mixture.domain=summs"], r"summs"),
    ],
)  # fmt: skip
def test_a_missing_corpus_is_refused_before_anything_is_built(study, tmp_path, overrides, message):
    own = [f"data.cache_dir={tmp_path}/cache", f"runs={tmp_path}/runs"]
    with pytest.raises(UserError, match=message):
        open_point(compose_point([*study, *own, *overrides]))
    assert not list(tmp_path.iterdir())


def test_the_last_point_of_a_grid_is_checked_before_the_first_ones_corpora_are_built(study, tmp_path):
    own = [*study, *ALONE, f"data.cache_dir={tmp_path}/cache", f"runs={tmp_path}/runs"]
    with pytest.raises(UserError, match=r"measures the Fisher.*\(point 2 of 2: regularizer=ewc\); nothing was started"):
        check_points([[*own, "regularizer=l2_to_base"], [*own, "regularizer=ewc"]])
    assert not list(tmp_path.iterdir())


def test_replay_that_draws_nothing_needs_no_corpus(study):
    point = open_point(compose_point([*study, *ALONE, "replay=fixed", "replay.replay_share=0"]))
    assert not point.stream.replayed.any()


def test_names_of_corpora_are_known_without_reading_them():
    assert Files(corpora={"law": "nowhere.jsonl", "general": "nowhere.jsonl"}).names() == ["law", "general"]
    assert Files().names() == []
    assert InstalledPackages().names() == ["general", "code"]
