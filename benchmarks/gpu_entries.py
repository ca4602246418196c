"""What `train_gpu.py` measures of ours, one function an entry, each in a process of its own; returns its figures."""

from __future__ import annotations

import gc
import os
import time
import warnings
from types import SimpleNamespace

import numpy as np
from gpu_shapes import PEAK_FLOPS, SHAPES, TINY, Llama

WARM, TIMED = 4, 8  # steps: compilation and the allocator, then the clock


class Stream:
    """Rows of random tokens, as `TokenStream` gives them: `documents` of them in each row."""

    planned_steps = 1 << 30
    corpora = ()
    names = ("random",)

    def __init__(self, shape: Llama, steps: int, documents: int) -> None:
        self.shape, self.steps, self.documents = shape, steps, documents
        self.tokens_per_step = shape.rows * shape.length

    def batch(self, step: int, rank: int = 0, world_size: int = 1):
        from cptlab.data.packing import Batch

        shape, rng = self.shape, np.random.default_rng(step)
        rows = rng.integers(0, shape.vocab, (shape.rows, shape.length + 1))
        positions = np.arange(shape.length)[None].repeat(shape.rows, 0)
        for row in positions:
            cuts = np.sort(rng.choice(np.arange(1, shape.length), self.documents - 1, replace=False))
            starts = np.zeros(shape.length, np.int64)
            starts[cuts] = cuts
            row -= np.maximum.accumulate(starts)
        zeros = np.zeros(shape.rows, np.int64)
        return Batch(rows[:, :-1].copy(), rows[:, 1:].copy(), positions, zeros, zeros.astype(bool))


def first_that_fits(shape: Llama, measure) -> dict:
    """`measure(rows of a pass)` with the most rows of a pass that fit the memory."""
    import torch

    refused = []
    for rows in shape.passes:
        try:
            return measure(rows) | {"rows_a_pass": rows} | ({"out_of_memory_at": refused} if refused else {})
        except torch.OutOfMemoryError:
            refused.append(rows)
        gc.collect()
        torch.cuda.empty_cache()
    raise RuntimeError(f"out of memory with {refused} rows a pass")


def figures(shape: Llama, seconds: list[float]) -> dict:
    """seconds: the ends of the timed steps and the end of the last one before them."""
    import torch

    rate = (len(seconds) - 1) * shape.rows * shape.length / (seconds[-1] - seconds[0])
    found = {"tokens_per_second": rate, "mfu": rate * shape.flops_per_token / PEAK_FLOPS}
    if torch.cuda.is_available():
        found["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    return found


def wait() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def ours(tiny: bool, size: str, documents: int = 1, **settings) -> dict:
    """The trainer of train.py (`fit_steps`: Lightning, meter, clipping, schedule), on rows of random tokens."""
    import lightning as L
    import torch

    from cptlab.config import Stage
    from cptlab.mixtures.static import Static
    from cptlab.optimizers.adamw import AdamW
    from cptlab.regularizers.none import NoRegularizer
    from cptlab.replay.none import NoReplay
    from cptlab.schedules.constant import Constant
    from cptlab.sparsity.none import NoSparsity
    from cptlab.training.build import attention_of, prepare_torch, silence_libraries
    from cptlab.training.machine import Machine
    from cptlab.training.objective import CLM
    from cptlab.training.trainer import fit_steps

    silence_libraries()
    shape = (TINY if tiny else SHAPES)[size]
    if tiny:
        settings |= {"compile": "none", "precision": "fp32"}

    def measure(rows: int) -> dict:
        ends = []

        class Clock(L.Callback):
            progress, folder = SimpleNamespace(meter=None), SimpleNamespace(path=None)
            resume = SimpleNamespace(step=0)

            def on_train_batch_end(self, trainer, module, *_) -> None:
                if module.step == WARM:
                    if torch.cuda.is_available():
                        torch.cuda.reset_peak_memory_stats()
                    ends.append(wait())
                elif module.step == WARM + TIMED:
                    ends.append(wait())

        stream = Stream(shape, WARM + TIMED, documents)
        cuda = "cpu" if tiny else "cuda"
        machine = Machine(accelerator="cpu" if tiny else "gpu", micro_rows=rows, threads=1 if tiny else 8, **settings)
        config = SimpleNamespace(
            machine=machine, model=SimpleNamespace(folder=lambda: None), objective=CLM(), optimizer=AdamW(),
            lr_schedule=Constant(warmup_tokens=0), tokens_total=stream.steps * stream.tokens_per_step, seed=0,
            data=SimpleNamespace(sequence_length=shape.length, general="made up"), mixture=Static(), replay=NoReplay(),
            regularizer=NoRegularizer(), sparsity=NoSparsity(), stage=Stage(),
        )  # fmt: skip
        prepare_torch(config)
        model = shape.build(cuda).to("cpu").train()  # weights drawn where it is fast; the trainer moves them itself
        choice = attention_of(machine, model, shape.length)
        clock = Clock()
        fit_steps(config, model, choice, stream, clock, Unused(clock.resume))
        spread = [ends[0] + (ends[1] - ends[0]) * i / TIMED for i in range(TIMED + 1)]
        return figures(shape, spread) | {"attention": str(choice)}

    return first_that_fits(shape, measure)


def Unused(resume):  # noqa: N802 - stands for a class
    """A checkpointing callback that has nothing to do."""
    import lightning as L

    callback = L.Callback()
    callback.resume, callback.first = resume, L.Callback()
    return callback


def fsdp(tiny: bool, size: str) -> dict:
    """FSDP2 with one process, as torchrun would start it."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0",
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "benchmark"}  # fmt: skip
    return ours(tiny, size, strategy="fsdp", compile="blocks")


def wide_blocks(tiny: bool) -> dict:
    """Forward and backward of two blocks of Llama 3 8B (width 4096, feed-forward 14336), bf16 against FP8, compiled."""
    import torch

    from cptlab.training.attention import choose, document_inputs, install
    from cptlab.training.parallel.blocks import blocks_of
    from cptlab.training.parallel.compile import compile_blocks
    from cptlab.training.parallel.fp8 import check_capability, to_fp8

    if tiny:
        raise RuntimeError("FP8 needs a GPU of compute capability 8.9 or more")
    check_capability()
    shape = Llama("8B width", 4096, 2, 32, 8, 14336, 1024, 4096, 4, (4,))
    speeds = {}
    for kind in ("bf16", "fp8"):
        model = shape.build("cuda").train()
        choice = choose("auto", "cuda", "bf16", "llama")
        install(model, choice, shape.length)
        blocks = blocks_of(model)
        if kind == "fp8":
            to_fp8(blocks, False)
        compile_blocks(model, blocks, "blocks")
        ids = torch.randint(0, shape.vocab, (shape.rows, shape.length), device="cuda")
        inputs = document_inputs(torch.arange(shape.length).expand(shape.rows, -1), choice, device="cuda")

        def step(model=model, ids=ids, inputs=inputs) -> None:
            with torch.autocast("cuda", torch.bfloat16):
                model.model(input_ids=ids, use_cache=False, **inputs).last_hidden_state.sum().backward()
            model.zero_grad()

        for _ in range(WARM):
            step()
        started = wait()
        for _ in range(TIMED):
            step()
        speeds[f"{kind}_ms"] = 1e3 * (wait() - started) / TIMED
        del model, blocks
    return speeds | {"ratio": speeds["bf16_ms"] / speeds["fp8_ms"]}


def quiet() -> None:
    """Warnings of libraries would drown the table."""
    warnings.filterwarnings("ignore")
