"""How fast a run trains: tokens/s, MFU with its formula and peak, memory, and how long it waited for data.

    MFU = tokens/s x flops/token / (devices x peak)

Only whole optimizer steps count: neither evaluation, nor checkpoints, nor the first steps (compilation, autotuning,
the allocator's first requests). The clock is the host's; the device is waited for only where a stretch of counted
steps begins or ends, never a step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from cptlab.training.flops import Shape
from cptlab.training.peaks import Peak

T = TypeVar("T")
FIRST_STEPS = 5  # steps of a process that are not counted


def mfu(tokens_per_second: float, flops_per_token: float, peak_flops: float, devices: int = 1) -> float:
    """Model FLOP utilisation, a fraction of 1. tokens_per_second: of all devices; peak_flops: of one [FLOP/s]."""
    return tokens_per_second * flops_per_token / (devices * peak_flops)


def memory(device_type: str) -> dict[str, int]:
    """Peak bytes of this process so far: resident on the host, allocated and reserved on the device."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    found = {"peak_host_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device_type == "cuda":
        import torch

        found["peak_device_bytes"] = torch.cuda.max_memory_allocated()
        found["peak_device_reserved_bytes"] = torch.cuda.max_memory_reserved()
    return found


def reset_peaks(on_gpu: bool) -> None:
    """Let the device's peak be that of the run that starts, not of the points of a grid before it in this process."""
    if on_gpu:
        import torch

        torch.cuda.reset_peak_memory_stats()


class Throughput:
    """Told of batches and steps; one object a process and attempt.

    Call `batch_requested`, `batch_ready` around the wait for a batch (or iterate over `watched(batches)`), `step_done`
    after each optimizer step, `pause` and `resume` around everything that is not training. Without shape and peak
    there is no MFU.
    """

    def __init__(
        self,
        sequence_length: int,
        shape: Shape | None = None,
        peak: Peak | None = None,
        devices: int = 1,
        first_steps: int = FIRST_STEPS,
        synchronize: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """synchronize: waits until the device is idle, None on a CPU; devices: of all nodes together."""
        self.sequence_length, self.shape, self.peak, self.devices = sequence_length, shape, peak, devices
        self.first_steps, self.synchronize, self.clock = first_steps, synchronize, clock
        self.steps = self.counted_steps = self.counted_tokens = 0
        self._seconds = self._waited = 0.0  # of stretches that are closed; waits of the open one too
        self._opened: float | None = None  # when the open stretch began
        self._requested: float | None = None
        self._paused = False

    def batch_requested(self) -> None:
        """The loop asks for its next batch."""
        self._requested = self.clock()

    def batch_ready(self) -> None:
        """The batch is there; the wait counts inside a counted stretch only."""
        if self._requested is not None and self._opened is not None:
            self._waited += self.clock() - max(self._requested, self._opened)
        self._requested = None

    def watched(self, batches: Iterable[T]) -> Iterator[T]:
        """The batches, each wait noted."""
        iterator = iter(batches)
        while True:
            self.batch_requested()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            finally:
                self.batch_ready()
            yield batch

    def step_done(self, tokens: int) -> None:
        """An optimizer step over `tokens` tokens of all devices is over (on a GPU: enqueued)."""
        self.steps += 1
        if self._opened is not None:
            self.counted_steps += 1
            self.counted_tokens += tokens
        elif self.steps >= self.first_steps and not self._paused:
            self._open()

    def pause(self) -> None:
        """Something other than training begins."""
        if self._opened is not None:
            self._wait_for_device()
            self._seconds += self.clock() - self._opened
            self._opened = None
        self._paused = True

    def resume(self) -> None:
        """Training goes on."""
        self._paused = False
        if self._opened is None and self.steps >= self.first_steps:
            self._open()

    def _open(self) -> None:
        self._wait_for_device()
        self._opened = self.clock()

    def _wait_for_device(self) -> None:
        if self.synchronize is not None:
            self.synchronize()

    @property
    def seconds(self) -> float:
        """Counted so far, the open stretch with it [s]."""
        return self._seconds + (self.clock() - self._opened if self._opened is not None else 0.0)

    @property
    def tokens_per_second(self) -> float | None:
        """Of all devices together; None until a step is counted."""
        seconds = self.seconds
        return self.counted_tokens / seconds if self.counted_steps and seconds > 0 else None

    @property
    def data_wait_share(self) -> float | None:
        """Of the counted time, the share spent waiting for a batch, in [0, 1]."""
        seconds = self.seconds
        return self._waited / seconds if self.counted_steps and seconds > 0 else None

    def mfu(self, causal: bool = False) -> float | None:
        """With attention counted whole, or halved (`causal`); None without shape, peak or counted step."""
        rate = self.tokens_per_second
        if rate is None or self.shape is None or self.peak is None:
            return None
        flops = self.shape.flops_per_token(self.sequence_length, causal)
        return mfu(rate, flops, self.peak.flops, self.devices)

    def line(self) -> str:
        """'12.3k tokens/s, MFU 41.2 % (6N + 12LdT, peak 989 TFLOP/s)', '' until a step is counted."""
        rate, used = self.tokens_per_second, self.mfu()
        if rate is None:
            return ""
        speed = f"{rate / 1e3:.1f}k tokens/s"
        if used is None or self.shape is None or self.peak is None:
            return speed
        formula = self.shape.formula(self.sequence_length).split(";")[0]
        return f"{speed}, MFU {100 * used:.1f} % ({formula}, peak {str(self.peak).split(' (')[0]})"

    def last_line(self, summary: Mapping[str, Any]) -> str:
        """`line()` of the whole run with data wait and peak memory of its `summary`; memory alone if too short."""
        parts = [self.line()]
        if summary["data_wait_share"] is not None:
            parts.append(f"waited for data {100 * summary['data_wait_share']:.1f} %")
        peaks = {"device": summary.get("peak_device_bytes"), "host": summary["peak_host_bytes"]}
        held = " and ".join(f"{size / 1e9:.2f} GB on the {where}" for where, size in peaks.items() if size)
        return ", ".join(filter(None, [*parts, f"peak memory {held}"]))

    def summary(self, device_type: str = "cpu") -> dict[str, Any]:
        """What the record keeps (done.json, `throughput`); figures that were not measured are None. Ends a stretch."""
        self.pause()
        rate = self.tokens_per_second
        content: dict[str, Any] = {
            "tokens_per_second": rate,
            "tokens_per_second_per_device": rate / self.devices if rate else None,
            "devices": self.devices,
            "mfu": self.mfu(),
            "mfu_causal_half": self.mfu(causal=True),
            "data_wait_share": self.data_wait_share,
            "counted_steps": self.counted_steps,
            "counted_tokens": self.counted_tokens,
            "counted_seconds": self.seconds,
            "left_out_steps": self.steps - self.counted_steps,
        }
        if self.shape is not None:
            content["flops_per_token"] = self.shape.flops_per_token(self.sequence_length)
            content["formula"] = self.shape.formula(self.sequence_length)
        if self.peak is not None:
            content["peak_flops"], content["peak_source"] = self.peak.flops, self.peak.source
        return content | memory(device_type)
