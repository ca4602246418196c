"""Where a run computes: `machine=cpu_1`, `machine=gpu_1`."""

from dataclasses import dataclass

from cptlab.errors import UserError, closest
from cptlab.variants import variant

ACCELERATORS = ("cpu", "gpu")
PRECISIONS = ("auto", "fp32", "bf16")


@variant("machine")
@dataclass(kw_only=True)
class Single:
    """One process on one device."""

    accelerator: str = "cpu"  # cpu or gpu
    threads: int = 1  # CPU threads of this process (OMP); two runs of one thread beat one run of two
    precision: str = "auto"  # auto = fp32 on CPU (bf16 autocast is slower there), bf16 autocast on GPU

    def __post_init__(self) -> None:
        for name, known in (("accelerator", ACCELERATORS), ("precision", PRECISIONS)):
            value = getattr(self, name)
            if value not in known:
                raise UserError(f"machine.{name} is {value}.{closest(value, known)}")
        if self.threads < 1:
            raise UserError(f"machine.threads is {self.threads}; it must be 1 or more")

    def identity(self) -> dict:
        """What determines the numbers: threads do not."""
        return {"accelerator": self.accelerator, "precision": self.precision}

    @property
    def resolved_precision(self) -> str:
        """What `auto` means on this accelerator."""
        return {"cpu": "fp32", "gpu": "bf16"}[self.accelerator] if self.precision == "auto" else self.precision
