"""Where and how a run computes: `machine=cpu_1`, `cpu_2`, `gpu_1`, `ddp`, `fsdp`, `hsdp` are presets of one class."""

from dataclasses import dataclass

from cptlab.errors import UserError, closest
from cptlab.training.attention.choice import ATTENTIONS, check
from cptlab.variants import variant

CHOICES = {
    "accelerator": ("cpu", "gpu"),
    "strategy": ("single", "ddp", "fsdp", "hsdp"),
    "precision": ("auto", "fp32", "bf16", "fp8"),
    "attention": ATTENTIONS,
    "compile": ("none", "blocks", "max_autotune"),
    "activation_checkpointing": ("none", "full", "selective"),
}  # fmt: skip
AT_LEAST = {"devices": 1, "nodes": 1, "threads": 1, "workers": 0, "micro_rows": 0, "tensor_parallel": 1,
            "peak_tflops": 0}  # fmt: skip
NUMBERS = {"attention": "auto", "strategy": "single", "compile": "none", "tensor_parallel": 1}


@variant("machine")
@dataclass(kw_only=True)
class Machine:
    """`devices` processes on each of `nodes` machines; what of it changes no number stays out of the run_id."""

    accelerator: str = "cpu"  # cpu or gpu
    devices: int = 1  # processes (GPUs) on each node
    nodes: int = 1  # machines
    strategy: str = "single"  # single, ddp (replicas), fsdp (sharded), hsdp (sharded in a node, replicated across)
    tensor_parallel: int = 1  # GPUs that share each matrix (Llama-like models), under fsdp
    threads: int = 1  # CPU threads of a process (OMP); two runs of one thread beat one run of two
    workers: int = 0  # processes that read ahead; 0 = the training process reads its own rows
    precision: str = "auto"  # auto = fp32 on CPU (bf16 is slower there), bf16 over fp32 weights on GPU; fp8: torchao
    attention: str = "auto"  # auto, or a backend by name
    compile: str = "none"  # none, blocks (each transformer block), max_autotune (blocks, with CUDA graphs)
    micro_rows: int = 0  # rows of one forward pass of a rank; 0 = all (no gradient accumulation)
    activation_checkpointing: str = "none"  # none, full, selective (every second block)
    offload: bool = False  # sharded weights, gradients and optimizer states wait in CPU memory (fsdp)
    deterministic: bool | None = None  # same bits every time; null = on a CPU, not on a GPU, where kernels are slower
    peak_tflops: float = 0.0  # [TFLOP/s] of one device, dense, for MFU; 0 = the table's or a measured one

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise UserError(f"machine.{name} is {value}.{closest(value, known)}")
        for name, least in AT_LEAST.items():
            if getattr(self, name) < least:
                raise UserError(f"machine.{name} is {getattr(self, name)}; it must be {least} or more")
        if self.strategy == "single" and self.world_size > 1:
            raise UserError(
                f"machine.devices x machine.nodes is {self.world_size} but machine.strategy is single; use machine=ddp,"
                " machine=fsdp or machine=hsdp"
            )
        check(self.attention, "cuda" if self.accelerator == "gpu" else "cpu", self.resolved_precision)
        if self.precision == "fp8" and self.accelerator == "cpu":
            raise UserError("machine.precision=fp8 needs a GPU of compute capability 8.9 or more; use fp32 on a CPU")
        if self.tensor_parallel > 1 and (self.strategy != "fsdp" or self.world_size % self.tensor_parallel):
            raise UserError(
                f"machine.tensor_parallel={self.tensor_parallel} needs machine.strategy=fsdp and a number of processes"
                f" that it divides (there are {self.world_size})"
            )
        if self.tensor_parallel > 1 and self.precision == "fp8":
            raise UserError(
                "machine.precision=fp8 does not go with machine.tensor_parallel, whose matrices lie in parts; use"
                " machine.precision=bf16, or machine.tensor_parallel=1 (fsdp shares the weights out too)"
            )
        if self.offload and self.accelerator == "cpu":
            raise UserError("machine.offload moves weights from a GPU to the CPU, where they are here; leave it false")
        if self.offload and self.strategy not in ("fsdp", "hsdp"):
            raise UserError(f"machine.offload needs machine.strategy=fsdp or hsdp; it is {self.strategy}")

    @property
    def world_size(self) -> int:
        """Processes of the run."""
        return self.devices * self.nodes

    def identity(self) -> dict:
        """What determines the numbers; threads, workers and the number of processes do not (but for rounding).

        What is at its default is left out, so that older run_ids stay.
        """
        chosen = {name: getattr(self, name) for name, default in NUMBERS.items() if getattr(self, name) != default}
        return {"accelerator": self.accelerator, "precision": self.precision} | chosen

    @property
    def is_deterministic(self) -> bool:
        """What null means on this accelerator."""
        return self.accelerator == "cpu" if self.deterministic is None else self.deterministic

    @property
    def resolved_precision(self) -> str:
        """What `auto` means on this accelerator."""
        return {"cpu": "fp32", "gpu": "bf16"}[self.accelerator] if self.precision == "auto" else self.precision
