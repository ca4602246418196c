"""When two model sizes count as one."""

import numpy as np
from numpy.typing import NDArray

SAME = 1e-3  # relative difference below which two sizes are one


def same_size(num_params: NDArray[np.float64] | float, size: float) -> NDArray[np.bool_]:
    """Which of the sizes (n,) are this one."""
    return np.isclose(num_params, size, rtol=SAME)
