import numpy as np
import pytest

from cptlab.errors import UserError
from cptlab.replay.fixed import FixedReplay
from cptlab.replay.none import NoReplay


def test_no_replay_takes_nothing_and_fixed_replay_its_share():
    u = np.linspace(0, 1, 3)
    np.testing.assert_array_equal(NoReplay().share(u), [0, 0, 0])
    np.testing.assert_array_equal(FixedReplay(replay_share=0.25).share(u), [0.25] * 3)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_replay_share_outside_its_range_is_refused_by_name(share):
    with pytest.raises(UserError, match=r"replay\.replay_share is .*; it must lie in \[0, 1\)"):
        FixedReplay(replay_share=share)
