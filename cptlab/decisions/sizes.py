"""When two model sizes count as one."""

import numpy as np
from numpy.typing import NDArray

NEAR = 0.05  # relative difference below which what a law leaves over at one size holds at the other
SAME = 1e-3  # relative difference below which two sizes are one


def same_size(num_params: NDArray[np.float64] | float, size: float) -> NDArray[np.bool_]:
    """Which of the sizes (n,) are this one."""
    return np.isclose(num_params, size, rtol=SAME)


def near_size(num_params: NDArray[np.float64], size: float) -> NDArray[np.bool_]:
    """The measured sizes (n,) nearest to a size; none where even these are not near."""
    distance = np.abs(np.log(num_params / size))
    return (distance <= distance.min() + SAME) & (distance < NEAR)
