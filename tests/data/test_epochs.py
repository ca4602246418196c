"""Limits on repetition, refused before the first step."""

import numpy as np
import pytest

from cptlab.data.stream import TokenStream
from cptlab.data.tokens import Corpus
from cptlab.errors import UserError
from cptlab.mixtures.static import Static
from cptlab.mixtures.ucb import UCB
from cptlab.replay.adaptive import AdaptiveReplay
from cptlab.replay.buffer import UnboundedBuffer
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay
from cptlab.replay.reservoir import Reservoir


@pytest.fixture
def plan(tmp_path):
    """400 rows of a run over corpora of 100, 40 and 60 rows."""
    corpora = {}
    for name, rows in (("general", 100), ("law", 40), ("code", 60)):
        (np.arange(rows * 4 + 1) + 1).astype("<u2").tofile(tmp_path / name)
        corpora[name] = Corpus(name, name, "train", str(tmp_path / name), rows * 4 + 1, 1, 1, "", "")

    def make(mixture, replay=None, **more):
        return TokenStream.plan(
            corpora, mixture, replay or NoReplay(), general="general", steps=50, rows_per_step=8, sequence_length=4,
            eos_id=0, seed=0, **more,
        )  # fmt: skip

    return make


LAW = Static(shares={"law": 0.5, "general": 0.5})


@pytest.mark.parametrize("replay", [UnboundedBuffer(replay_share=0.5), Reservoir(replay_share=0.5, capacity=20)])
def test_rows_drawn_again_from_a_buffer_count_towards_the_limit(plan, replay):
    needs = plan(LAW, replay).epochs_by_corpus(50)["law"]  # about 2.5 fresh and as many again
    assert 4 < needs < 6
    assert plan(LAW, replay, max_epochs=needs).planned_steps == 50
    for more in ({}, {"on_max_epochs": "cap"}):
        with pytest.raises(UserError, match=r"epochs of law .* rows drawn again from the buffer .*max_epochs=3\.9"):
            plan(LAW, replay, max_epochs=3.9, **more)


def test_replay_alone_beyond_the_limit_is_refused_under_a_cap_too(plan):
    with pytest.raises(UserError, match=r"replay alone would need epochs of law 8 \(data\.max_epochs=6\)"):
        plan(Static(domain_share=1.0, domain="code"), FixedReplay(corpus="law", replay_share=0.8), max_epochs=6,
             on_max_epochs="cap")  # fmt: skip


def test_a_mixture_that_learns_is_refused_where_a_decision_could_break_the_limit(plan):
    mixture = UCB(interval=0.5, min_share=0.1)  # 200 rows at thirds, then 200 rows at .1 to .8
    assert plan(mixture, max_epochs=5.7).planned_steps == 25  # law: (66.7 + 160) / 40 = 5.67
    with pytest.raises(UserError, match=r"while the run trains may need epochs of law 5\.67 .*on_max_epochs=cap"):
        plan(mixture, max_epochs=5.6)


def test_under_a_cap_only_what_no_decision_can_mend_is_refused(plan):
    mixture = UCB(interval=0.5, min_share=0.3)  # law: (66.7 + 60) / 40 = 3.17 at least
    assert plan(mixture, max_epochs=3.3, on_max_epochs="cap").planned_steps == 25
    with pytest.raises(UserError, match=r"needs epochs of law 3\.17 at least .*lower mixture\.min_share"):
        plan(mixture, max_epochs=3, on_max_epochs="cap")
    with pytest.raises(UserError, match=r"draws 400 rows, but data\.max_epochs=1\.9 allows 380 of all corpora"):
        plan(UCB(interval=0.05, min_share=0), max_epochs=1.9, on_max_epochs="cap")


def test_replay_that_learns_is_held_to_its_maximum(plan):
    replay = AdaptiveReplay(interval=0.5, minimum=0.0, maximum=0.5)  # 200 rows at 0, then 200 at 0 to .5
    mixture = Static(shares={"general": 0.5, "law": 0.25, "code": 0.25})
    assert plan(mixture, replay, max_epochs=2.6).planned_steps == 25  # general: (100 + 150) / 100
    with pytest.raises(UserError, match=r"may need epochs of general 2\.5, law 2\.5 \(data\.max_epochs=2\.4\)"):
        plan(mixture, replay, max_epochs=2.4)


@pytest.mark.parametrize("more", [{}, {"on_max_epochs": "cap"}])
def test_a_buffer_behind_a_mixture_that_learns_may_all_be_of_one_corpus(plan, more):
    mixture, replay = UCB(interval=0.5, min_share=0.1), UnboundedBuffer(replay_share=0.5)
    # law: (200 (.5 / 3 + .5) + 200 (.5 * .8 + .5)) / 40 = 7.83
    assert plan(mixture, replay, max_epochs=7.9, **more).planned_steps == 25
    with pytest.raises(UserError, match=r"epochs of law 7\.83"):
        plan(mixture, replay, max_epochs=7.8, **more)
