"""Claim: cptlab trains at least 1.05 (1M parameters) and 1.0 (10M) times as fast as the better of its peers on a CPU.

Peers: transformers' `Trainer` and litgpt's pre-training loop (its own GPT, Fabric, chunked loss), same shape of model,
tied embeddings, same rows, same optimizer (fused AdamW, clipping at 1), all eager or all compiled. cptlab keeps the
documents of a row apart, the peers let them see each other. Eager, a row of documents of n_i tokens then costs us
sum n_i^2 / 2 scores, document by document where that is the cheaper way, and the peers T^2 / 2: less work for us where
rows hold several documents. Compiled, we compute all T^2 scores of such a row under a mask, which is more than the peers
do. Deterministic algorithms are off for all three, though `train.py` has them on for a CPU by default (its cost:
benchmarks/deterministic.py). Repetitions are interleaved and compared in pairs; the first steps of each (and every
compilation) are not timed.

    python benchmarks/train_cpu.py --size 1m          # litgpt: pip install --no-deps litgpt
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from importlib.metadata import version
from tempfile import TemporaryDirectory

import numpy as np
import torch

from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import attention_of, prepare_torch, silence_libraries
from cptlab.training.point import open_point

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
clock = "wall"  # cpu: processor seconds of this process, on a machine that others use
WARM = 2  # steps of a repetition that are not timed


class Ours:
    name = "cptlab"

    def __init__(self, point, compiled: bool) -> None:
        from cptlab.training.progress import Progress
        from cptlab.training.recorder import Recorder

        class Timed(Recorder):
            def on_train_start(self, *_) -> None:
                self.times = []

            def on_train_batch_end(self, trainer, module, *_) -> None:
                self.progress.update(module.step, module.last_loss, self.losses)
                self.times.append(CLOCKS[clock]())

        self.point, config = point, point.config
        self.recorder = Timed(config, point.corpora, point.stream, point.folder, Progress("", 1, 1, quiet=True))
        self.model = config.model.build(point.corpora.vocab_size, config.data.sequence_length, 0).train()
        config.machine.compile = "blocks" if compiled else "none"  # in place, by the first repetition
        self.attention = attention_of(config.machine, self.model, config.data.sequence_length)

    def repeat(self) -> list[float]:
        from cptlab.training.checkpoint.callback import Checkpointing
        from cptlab.training.checkpoint.load import Resume
        from cptlab.training.checkpoint.signals import Stop
        from cptlab.training.trainer import fit_steps

        point, config = self.point, self.point.config
        with Stop() as stop:
            checkpointing = Checkpointing(config.checkpoint, point.folder, None, point.stream, Resume(), stop, print)
            fit_steps(config, self.model, self.attention, point.stream, self.recorder, checkpointing)
        return self.recorder.times


class Rows(torch.utils.data.Dataset):
    """Rows of the stream in the order of training."""

    def __init__(self, stream, extra: bool) -> None:
        self.rows = []
        for step in range(stream.steps):
            batch = stream.batch(step)
            last = np.where(batch.labels[:, -1:] < 0, 0, batch.labels[:, -1:])
            self.rows += list(np.concatenate([batch.input_ids, last], 1) if extra else batch.input_ids)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int):
        return torch.from_numpy(self.rows[i])


class Transformers:
    name = "transformers Trainer"

    def __init__(self, point, compiled: bool) -> None:
        from transformers import Trainer, TrainerCallback, TrainingArguments

        config, stream = point.config, point.stream
        times = self.times = []

        class Clock(TrainerCallback):
            def on_step_end(self, *_, **__) -> None:
                times.append(CLOCKS[clock]())

        model = config.model.build(point.corpora.vocab_size, config.data.sequence_length, 0).train()
        model.config.use_cache = False
        if compiled:
            model.forward = torch.compile(model.forward)
        arguments = TrainingArguments(
            output_dir=str(point.folder.path / "hf"), max_steps=stream.steps, per_device_train_batch_size=stream.rows_per_step,
            optim="adamw_torch_fused", learning_rate=1e-3, lr_scheduler_type="constant", max_grad_norm=1.0, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True, dataloader_num_workers=0,
            weight_decay=0.1,
        )  # fmt: skip
        self.trainer = Trainer(
            model=model, args=arguments, train_dataset=Rows(stream, extra=False), callbacks=[Clock()],
            data_collator=lambda rows: {"input_ids": torch.stack(rows), "labels": torch.stack(rows)},
        )  # fmt: skip

    def repeat(self) -> list[float]:
        self.times.clear()
        self.trainer.train()
        return list(self.times)


class LitGPT:
    name = "litgpt"

    def __init__(self, point, compiled: bool) -> None:
        import lightning as L
        from litgpt.model import GPT, Config
        from litgpt.utils import chunked_cross_entropy

        width, depth, heads, feed_forward = point.config.model.dimensions
        self.length, self.loss = point.config.data.sequence_length, chunked_cross_entropy
        config = Config(
            block_size=self.length, padded_vocab_size=point.corpora.vocab_size, vocab_size=point.corpora.vocab_size,
            n_layer=depth, n_head=heads, n_embd=width, rotary_percentage=1.0, parallel_residual=False, bias=False,
            norm_class_name="RMSNorm", mlp_class_name="LLaMAMLP", intermediate_size=feed_forward,
        )  # fmt: skip
        model = GPT(config)
        model.lm_head.weight = model.transformer.wte.weight
        model.max_seq_length = self.length
        self.fabric = L.Fabric(accelerator="cpu", devices=1)
        self.fabric.launch()
        model = torch.compile(model) if compiled else model
        self.model = self.fabric.setup(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        self.optimizer = self.fabric.setup_optimizers(optimizer)
        loader = torch.utils.data.DataLoader(Rows(point.stream, extra=True), batch_size=point.stream.rows_per_step)
        self.loader = self.fabric.setup_dataloaders(loader)

    def repeat(self) -> list[float]:
        times = []
        for rows in self.loader:
            inputs = rows[:, : self.length].contiguous().long()
            targets = rows[:, 1 : self.length + 1].contiguous().long()
            loss = self.loss(self.model(inputs), targets)
            self.fabric.backward(loss)
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            times.append(CLOCKS[clock]())
        return times


def lower_end(ratios: np.ndarray, level: float = 0.95) -> float:
    """Lower end of the one-sided bootstrap interval of the median of paired ratios."""
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (10_000, len(ratios))), axis=1)
    return float(np.quantile(draws, 1 - level))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="1m")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--more", nargs="*", default=[], help="overrides of train.py")
    options = parser.parse_args()
    global clock
    clock = options.clock
    warnings.filterwarnings("ignore")
    with TemporaryDirectory() as name:
        overrides = [
            f"model.size={options.size}", f"data.sequence_length={options.length}", f"data.vocab_size={options.vocab}",
            f"rows_per_step={options.rows}", f"tokens={options.steps * options.rows * options.length}",
            f"machine.threads={options.threads}", f"runs={name}", "evaluation.rows=1", "save_model=false",
            "lr_schedule.warmup_tokens=0", "mixture=general_only", "model.base_run=", *options.more,
        ]  # fmt: skip
        point = open_point(compose_point(overrides))
        silence_libraries()
        prepare_torch(point.config)
        torch.use_deterministic_algorithms(False)  # as the peers have it
        contestants, missing = [], {}
        for kind in (Ours, Transformers, LitGPT):
            try:
                contestants.append(kind(point, options.compile))
            except ImportError as error:
                missing[kind.name] = str(error)
        speeds = {each.name: [] for each in contestants}
        for turn in range(options.repeats + 1):
            order = contestants if turn % 2 else contestants[::-1]
            for each in order:
                times = each.repeat()
                speed = (len(times) - WARM) * point.stream.tokens_per_step / (times[-1] - times[WARM - 1])
                if turn:  # the first turn compiles
                    speeds[each.name].append(speed)
    ours = np.array(speeds[Ours.name])
    ratios = {peer: ours / np.array(values) for peer, values in speeds.items() if peer != Ours.name}
    medians = {name: float(np.median(values)) for name, values in speeds.items()}
    peer = max(ratios, key=lambda name: medians[name])
    print(json.dumps({
        "claim": f"training {options.size}, {options.rows} rows of {options.length}, vocabulary {point.corpora.vocab_size},"
                 f" {'compiled' if options.compile else 'eager'}, {options.threads} threads",
        "ours": round(medians[Ours.name]), "theirs": round(medians[peer]), "peer": peer, "unit": "tokens/s", "clock": clock,
        "ratio": round(float(np.median(ratios[peer])), 3), "lower_95": round(lower_end(ratios[peer]), 3),
        "all": {name: round(value) for name, value in medians.items()}, "missing": missing,
        "ratios": {name: [round(float(np.quantile(r, q)), 3) for q in (0.05, 0.5, 0.95)] for name, r in ratios.items()},
        "repeats": options.repeats, "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: version(name) for name in ("torch", "lightning", "transformers")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
