"""Many processes as one: strategies, sharding, gradients exchanged once a step."""

from cptlab.training.parallel.sync import gradient_sync, reshard

__all__ = ["gradient_sync", "reshard"]
