"""One schedule of every variant, and strategies that draw any of them with legal fields for a run of TOTAL tokens."""

from hypothesis import strategies as st

from cptlab.schedules.constant import Constant
from cptlab.schedules.cosine import Cosine
from cptlab.schedules.cosine_restarts import CosineRestarts
from cptlab.schedules.curves import CURVES
from cptlab.schedules.infinite import Infinite
from cptlab.schedules.inverse_sqrt import InverseSqrt
from cptlab.schedules.linear import Linear
from cptlab.schedules.piecewise import Piecewise
from cptlab.schedules.rewarm import Rewarm
from cptlab.schedules.trapezoid import Trapezoid
from cptlab.schedules.wsd import WSD

TOTAL = 1000

warmups = st.integers(0, 300)
floors = st.floats(0.01, 1)
shares = lambda high: st.one_of(st.just(0.0), st.floats(0.01, high))  # noqa: E731
curves = st.sampled_from(sorted(CURVES))


@st.composite
def drawn(draw):
    """A piecewise schedule: a peak of 1 among other factors, from 0 to TOTAL tokens."""
    inner = sorted(draw(st.sets(st.integers(1, TOTAL - 1), max_size=5)))
    factors = draw(st.lists(st.floats(0, 1), min_size=len(inner) + 2, max_size=len(inner) + 2))
    factors[draw(st.integers(0, len(factors) - 1))] = 1.0
    return Piecewise(points=[list(point) for point in zip([0, *inner, TOTAL], factors, strict=True)])


EVERY = {
    "constant": st.builds(Constant, warmup_tokens=warmups),
    "linear": st.builds(Linear, warmup_tokens=warmups, floor=floors),
    "cosine": st.builds(Cosine, warmup_tokens=warmups, floor=floors),
    "wsd": st.builds(WSD, warmup_tokens=warmups, decay_share=shares(0.7), floor=floors, decay=curves),
    "trapezoid": st.builds(Trapezoid, warmup_tokens=warmups, decay_tokens=st.integers(0, 700), floor=floors),
    "inverse_sqrt": st.builds(InverseSqrt, warmup_tokens=warmups, timescale_tokens=st.integers(1, 2000)),
    "infinite": st.builds(
        Infinite, warmup_tokens=warmups, cooldown_tokens=st.integers(0, 300), constant=st.floats(0.5, 1),
        anneal_share=shares(0.4), floor=st.floats(0.01, 0.5), cooldown=curves, anneal=curves,
    ),
    "rewarm": st.builds(Rewarm, warmup_tokens=warmups, start=st.floats(0, 1), floor=floors, decay=curves),
    "cosine_restarts": st.builds(
        CosineRestarts, warmup_tokens=warmups, cycles=st.integers(1, 5), growth=st.floats(0.5, 2), floor=floors
    ),
    "piecewise": drawn(),
}  # fmt: skip
