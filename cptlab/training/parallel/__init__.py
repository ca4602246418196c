"""Many processes as one: strategies, sharding, gradients exchanged once a step."""

from cptlab.training.parallel.norms import clip_gradients, gradient_norm
from cptlab.training.parallel.sync import gradient_sync, reshard

__all__ = ["clip_gradients", "gradient_norm", "gradient_sync", "reshard"]
