import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cptlab.errors import UserError
from cptlab.replay.adaptive import AdaptiveReplay
from cptlab.replay.base import BufferReplay, Replay
from cptlab.replay.buffer import UnboundedBuffer
from cptlab.replay.decaying import DecayingReplay
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay
from cptlab.replay.reservoir import Reservoir
from cptlab.replay.sourced import SourcedReplay
from cptlab.sweeps.preflight import compose_point
from cptlab.variants import discover_group

VARIANTS = sorted(discover_group("replay"))
u_values = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


@pytest.mark.parametrize("name", VARIANTS)
@given(u=u_values)
def test_every_share_is_a_float_in_its_range_for_each_u(name, u):
    replay: Replay = discover_group("replay")[name]()
    got = replay.share(u)
    assert got.shape == u.shape
    assert got.dtype == np.float64
    assert ((got >= 0) & (got < 1)).all()
    np.testing.assert_array_equal(got, [replay.share(np.array([one]))[0] for one in u])


@pytest.mark.parametrize("name", VARIANTS)
def test_only_a_buffer_picks_rows(name):
    cls = discover_group("replay")[name]
    if issubclass(cls, SourcedReplay):
        assert [cls(source=source).from_buffer for source in ("corpus", "buffer")] == [False, True]
    else:
        assert cls.from_buffer == issubclass(cls, BufferReplay) == hasattr(cls, "pick")


def test_no_replay_takes_nothing_and_fixed_replay_its_share():
    u = np.linspace(0, 1, 3)
    np.testing.assert_array_equal(NoReplay().share(u), [0, 0, 0])
    np.testing.assert_array_equal(FixedReplay(replay_share=0.25).share(u), [0.25] * 3)


def test_linear_decay_is_a_line_and_exponential_decay_halves_its_distance_every_half_life():
    linear = DecayingReplay(start=0.5, end=0.1)
    np.testing.assert_allclose(linear.share(np.array([0, 0.25, 0.5, 1])), [0.5, 0.4, 0.3, 0.1])
    exponential = DecayingReplay(start=0.5, end=0.1, shape="exponential", half_life=0.25)
    np.testing.assert_allclose(exponential.share(np.array([0, 0.25, 0.5, 1])), [0.5, 0.3, 0.2, 0.125])


@given(start=st.floats(0, 0.99), end=st.floats(0, 0.99), shape=st.sampled_from(["linear", "exponential"]))
def test_a_decaying_share_goes_one_way_and_stays_between_its_ends(start, end, shape):
    share = DecayingReplay(start=start, end=end, shape=shape).share(np.linspace(0, 1, 50))
    assert share[0] == pytest.approx(start)
    steps = np.diff(share) * np.sign(end - start)
    assert (steps >= -1e-12).all()
    assert share.min() >= min(start, end) - 1e-12
    assert share.max() <= max(start, end) + 1e-12


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda share: FixedReplay(replay_share=share), "replay_share"),
        (lambda share: DecayingReplay(start=share), "start"),
        (lambda share: DecayingReplay(end=share), "end"),
        (lambda share: AdaptiveReplay(minimum=share), "minimum"),
        (lambda share: AdaptiveReplay(maximum=share), "maximum"),
        (lambda share: UnboundedBuffer(replay_share=share), "replay_share"),
        (lambda share: Reservoir(replay_share=share), "replay_share"),
    ],
)
@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_replay_share_outside_its_range_is_refused_by_name(make, key, share):
    with pytest.raises(UserError, match=rf"replay\.{key} is .*; it must lie in \[0, 1\)"):
        make(share)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: DecayingReplay(shape="exponental"), r"replay\.shape is exponental\. Did you mean exponential\?"),
        (lambda: DecayingReplay(half_life=0), r"replay\.half_life is 0; it must be above 0"),
        (lambda: AdaptiveReplay(minimum=0.4, maximum=0.3), r"replay\.maximum is 0\.3, below replay\.minimum = 0\.4"),
        (lambda: AdaptiveReplay(signal="grad_norm"), r"replay\.signal is grad_norm\. Did you mean gradient_norm\?"),
        (lambda: AdaptiveReplay(scale=0), r"replay\.scale is 0; it must be above 0"),
        (lambda: AdaptiveReplay(interval=0), r"replay\.interval is 0; it must lie in \(0, 1\]"),
        (lambda: Reservoir(capacity=0), r"replay\.capacity is 0 rows; it must be 1 or more"),
        (lambda: Reservoir(capacity=2.5), r"replay\.capacity is 2\.5 rows; it must be a whole number up to 2\*\*53"),
        (lambda: Reservoir(capacity=2**53 + 1), r"is 9\.0072e\+15 rows; it must be a whole number up to 2\*\*53"),
        (lambda: Reservoir(capacity=float("inf")), r"is inf rows; it must be a whole number"),
        (lambda: Reservoir(capacity=float("nan")), r"is nan rows; it must be a whole number"),
        (lambda: Reservoir(corpus="prose"), r"replay\.corpus is prose, but replay=reservoir draws from rows already"),
        (
            lambda: UnboundedBuffer(corpus="prose"),
            r"replay\.corpus is prose, but replay=buffer draws from rows already",
        ),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_key(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


def test_a_capacity_reads_as_a_whole_number_however_it_is_written_and_a_larger_one_than_the_run_holds_every_row():
    written = [
        compose_point(["replay=reservoir", f"replay.capacity={text}"]).replay for text in ("1e15", "1000", "1e3")
    ]
    assert [json.dumps(replay.capacity) for replay in written] == [f"{10**15}", "1000", "1000"]  # in run_ids as ever
    assert written[0].content(seed=3, seen=30).tolist() == list(range(30))
    with pytest.raises(UserError, match="must be a whole number up to"):
        compose_point(["replay=reservoir", "replay.capacity=1e16"])
