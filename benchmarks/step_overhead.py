"""Claim: Lightning with our callbacks costs under 3 ms a step over a bare loop of the same steps on a CPU.

The same network, optimizer, clipping and rows; processor time of this process, one thread, repetitions interleaved.

    python benchmarks/step_overhead.py            # --profile lists where the difference goes
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

from cptlab.optimizers.clipping import clip_gradients
from cptlab.sweeps.preflight import compose_point
from cptlab.training.build import attention_of, prepare_torch, silence_libraries
from cptlab.training.loader import Steps
from cptlab.training.network import Network
from cptlab.training.point import open_point

BAR = 3.0  # [ms]
WARM = 10  # steps of a repetition that are not timed


def bare(point, network) -> float:
    """Milliseconds of processor time a step."""
    optimizer = point.config.optimizer.build(network)
    steps, started = Steps(point.stream), 0.0
    for step in range(len(steps)):
        if step == WARM:
            started = time.process_time()
        batch = network.inputs(steps[step])
        loss, _ = network(batch)
        loss.backward()
        loss.item()
        clip_gradients(network.parameters(), point.config.optimizer.clip)
        optimizer.step()
        optimizer.zero_grad()
    return 1e3 * (time.process_time() - started) / (len(steps) - WARM)


def ours(point, model, attention) -> float:
    """The same under `fit_steps`: Lightning, recorder, checkpointing, meter."""
    from cptlab.training.checkpoint.callback import Checkpointing
    from cptlab.training.checkpoint.load import Resume
    from cptlab.training.checkpoint.signals import Stop
    from cptlab.training.progress import Progress
    from cptlab.training.recorder import Recorder
    from cptlab.training.trainer import fit_steps

    class Timed(Recorder):
        def record(self, module, step) -> None:  # evaluations are no overhead
            pass

        def on_train_batch_end(self, trainer, module, *rest) -> None:
            super().on_train_batch_end(trainer, module, *rest)
            if module.step in (WARM, point.stream.steps):
                self.times.append(time.process_time())

    config = point.config
    recorder = Timed(config, point.corpora, point.stream, point.folder, Progress("", 1, 1, quiet=True))
    recorder.times = []
    with Stop() as stop:
        checkpointing = Checkpointing(config.checkpoint, point.folder, None, point.stream, Resume(), stop, print)
        fit_steps(config, model, attention, point.stream, recorder, checkpointing)
    first, last = recorder.times
    return 1e3 * (last - first) / (point.stream.steps - WARM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=110)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    silence_libraries()
    rows, length = 4, 32
    with TemporaryDirectory() as name:
        point = open_point(compose_point([
            "model.size=30k", f"data.sequence_length={length}", f"rows_per_step={rows}", f"runs={name}",
            f"tokens={options.steps * rows * length}", "evaluation.rows=1", "lr_schedule.warmup_tokens=0",
            "mixture=general_only", "model.base_run=",
        ]))  # fmt: skip
        config = point.config
        prepare_torch(config)
        model = config.model.build(point.corpora.vocab_size, length, 0).train()
        attention = attention_of(config.machine, model, length)
        network = Network(model, config.objective, attention)
        if options.profile:
            import cProfile
            import pstats

            profile = cProfile.Profile()
            profile.runcall(ours, point, model, attention)
            pstats.Stats(profile).sort_stats("tottime").print_stats(45)
            return
        pairs = [(bare(point, network), ours(point, model, attention)) for _ in range(options.repeats + 1)][1:]
    loops, trainers = np.array(pairs).T
    extra = float(np.median(trainers - loops))
    print(json.dumps({
        "claim": "processor time a step that Lightning with our callbacks adds to a bare loop", "ours": round(extra, 3),
        "bar": BAR, "unit": "ms", "ratio": round(BAR / extra, 2), "holds": extra < BAR,
        "bare": round(float(np.median(loops)), 2), "trainer": round(float(np.median(trainers)), 2),
        "range": [round(float(np.quantile(trainers - loops, q)), 3) for q in (0.1, 0.9)], "repeats": options.repeats,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {each: version(each) for each in ("torch", "lightning")},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
