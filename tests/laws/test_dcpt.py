"""D-CPT's published worked examples. Its nine fitted values are not published, so the examples cannot be refitted."""

import numpy as np
import pytest

# Chemistry, 1.8B, 10B tokens (2406.01375): domain share, general loss, domain loss
SHARE = np.array([0.9, 0.91, 0.92, 0.924, 0.93, 0.94, 1.0])
GENERAL = np.array([2.9052, 2.9193, 2.9376, 2.9445, 2.9644, 2.9848, 3.4667])
DOMAIN = np.array([1.7321, 1.7312, 1.7311, 1.7291, 1.7279, 1.7265, 1.7220])
BASE, CAP = 2.8602, 0.03


def test_the_published_trade_off_follows_from_its_published_losses():
    allowed = BASE * (1 + CAP)
    optimum = np.interp(allowed, GENERAL, SHARE)
    assert optimum == pytest.approx(0.924, abs=1e-3)
    assert SHARE[allowed >= GENERAL].max() == 0.924
    assert (np.diff(DOMAIN) < 0).all()  # the more, the better: the cap binds
