import json

import pytest
import torch

from cptlab.models.base import count_params
from cptlab.models.tiny import Tiny
from cptlab.training.flops import Shape, shape_of
from cptlab.training.peaks import BF16, FP32, Peak, listed, measured, peak
from cptlab.training.throughput import Throughput, memory, mfu


class Clock:
    """Time that passes when told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def meter(clock, **changes):
    shape = Shape(params=1000, trained=1000, width=8, windows=(0, 0))
    return Throughput(**{"sequence_length": 16, "shape": shape, "peak": Peak(1e6, "made up"), "first_steps": 2,
                         "clock": clock} | changes)  # fmt: skip


def step(meter, clock, wait=0.25, work=0.75, tokens=100):
    meter.batch_requested()
    clock.now += wait
    meter.batch_ready()
    clock.now += work
    meter.step_done(tokens)


def test_flops_are_six_n_and_twelve_l_d_t_by_hand():
    # Llama 2 7B at T = 4096: 6.607e9 parameters without input table, 32 layers, d = 4096.
    shape = Shape(params=6_607_000_000, trained=6_607_000_000, width=4096, windows=(0,) * 32)
    assert shape.flops_per_token(4096) == 6 * 6_607_000_000 + 12 * 32 * 4096 * 4096
    assert shape.flops_per_token(4096, causal=True) == 6 * 6_607_000_000 + 6 * 32 * 4096 * 4096


def test_a_frozen_weight_costs_four_flops_and_a_window_bounds_attention():
    shape = Shape(params=100, trained=10, width=2, windows=(0, 4))
    assert shape.flops_per_token(8) == 4 * 100 + 2 * 10 + 12 * 2 * (8 + 4)
    assert shape.formula(8).startswith(
        "4N + 2N_trained + 12LdT; N = 100 without input embeddings, N_trained = 10, L = 2"
    )
    assert "windows [0, 4]" in shape.formula(8)


def test_a_tied_head_counts_once_and_an_untied_input_table_not():
    from transformers import LlamaConfig, LlamaForCausalLM

    tied = Tiny(size="30k").build(50, 16, 0)
    assert shape_of(tied) == Shape(count_params(tied)[1], count_params(tied)[1], 32, (0, 0, 0))
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    untied = LlamaForCausalLM(LlamaConfig(vocab_size=50, tie_word_embeddings=False, **sizes))
    assert shape_of(untied).params == count_params(untied)[0] + 50 * 8


def test_the_formula_is_what_torch_counts_in_matrix_products():
    # torch counts 2 FLOPs a multiplication of every matrix product, scores and values of attention whole.
    from torch.utils.flop_counter import FlopCounterMode

    model = Tiny(size="30k").build(50, 16, 0)
    model.set_attn_implementation("eager")
    tokens = torch.arange(32).view(2, 16)
    counter = FlopCounterMode(display=False)
    with counter:
        model(input_ids=tokens, use_cache=False).logits.sum().backward()
    norms = sum(weight.numel() for weight in model.parameters() if weight.dim() == 1)
    assert counter.get_total_flops() == 32 * (shape_of(model).flops_per_token(16) - 6 * norms)


def test_experts_count_as_far_as_a_token_meets_them():
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        vocab_size=50, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, tie_word_embeddings=False,
    )  # fmt: skip
    model = MixtralForCausalLM(config)
    experts = 4 * 3 * 8 * 16
    assert shape_of(model).params == count_params(model)[0] + 50 * 8 - experts // 2


def test_adapters_leave_the_base_frozen():
    model = Tiny(size="30k").build(50, 16, 0)
    model.model.requires_grad_(False)
    model.model.norm.weight.requires_grad_(True)
    assert shape_of(model).trained == 32


@pytest.mark.parametrize(
    ("name", "bf16"),
    [
        ("NVIDIA H100 80GB HBM3", 989), ("NVIDIA H100 PCIe", 756), ("NVIDIA H100 NVL", 835), ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-80GB", 312), ("NVIDIA A100 80GB PCIe", 312), ("NVIDIA B200", 2250), ("NVIDIA A10", 125),
        ("NVIDIA A10G", 70), ("NVIDIA L4", 121), ("NVIDIA L40S", 362), ("NVIDIA GB200", 2500), ("Unknown 7", None),
    ],
)  # fmt: skip
def test_a_devices_name_finds_its_own_dense_peak(name, bf16):
    assert listed(name, "bf16") == bf16


def test_fp8_is_held_against_the_bf16_peak_and_fp32_against_its_own():
    assert peak("cuda", "fp8", name="NVIDIA H200") == peak("cuda", "bf16", name="NVIDIA H200")
    assert peak("cuda", "fp32", name="NVIDIA H200").flops == 67e12
    assert set(FP32) <= set(BF16)
    assert all(FP32[name] < BF16[name] for name in FP32)


def test_a_given_peak_wins_over_the_table_and_says_so():
    assert peak("cpu", "fp32", 1.5) == Peak(1.5e12, "machine.peak_tflops")
    assert str(peak("cuda", "bf16", 500, "NVIDIA H200")) == "500 TFLOP/s (machine.peak_tflops)"


def test_a_cpus_peak_is_measured_once_and_draws_no_random_numbers():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    found = peak("cpu", "fp32")
    assert torch.equal(torch.get_rng_state(), state)
    assert 1e9 < found.flops < 1e14
    assert measured("cpu", "fp32") == found.flops
    assert "measured" in found.source


def test_speed_and_wait_are_of_counted_steps_only(clock):
    found = meter(clock)
    for _ in range(2):
        step(found, clock, wait=10, work=10)
    assert found.tokens_per_second is None
    assert found.line() == ""
    for _ in range(4):
        step(found, clock)
    assert found.tokens_per_second == pytest.approx(100)
    assert found.data_wait_share == pytest.approx(0.25)
    # 100 tokens/s x (6000 + 12 x 2 x 8 x 16) FLOP over 1e6 FLOP/s.
    assert found.mfu() == pytest.approx(100 * 9072 / 1e6)
    assert found.mfu(causal=True) == pytest.approx(100 * 7536 / 1e6)


def test_evaluation_is_left_out_of_the_clock(clock):
    found = meter(clock, first_steps=1)
    for _ in range(3):
        step(found, clock)
        found.pause()
        clock.now += 50
        found.resume()
    assert found.summary()["counted_seconds"] == pytest.approx(2)
    assert found.tokens_per_second == pytest.approx(100)


def test_a_batch_made_while_the_clock_stands_is_no_wait(clock):
    found = meter(clock, first_steps=1)
    step(found, clock)
    found.pause()
    found.batch_requested()
    clock.now += 30
    found.batch_ready()
    found.batch_requested()
    clock.now += 30
    found.resume()
    clock.now += 1
    found.batch_ready()
    clock.now += 3
    found.step_done(100)
    assert found.data_wait_share == pytest.approx(0.25)


def test_the_device_is_waited_for_at_the_ends_of_a_stretch_and_never_a_step(clock):
    waits = []
    found = meter(clock, synchronize=lambda: waits.append(found.steps))
    for _ in range(50):
        step(found, clock)
    assert waits == [2]
    found.pause()
    found.resume()
    found.summary()
    assert waits == [2, 50, 50, 50]


def test_work_that_the_device_still_owes_counts(clock):
    # Steps are enqueued in no time; the device needs 1 s each, and is waited for at the end of the stretch.
    owed = [0.0]

    def synchronize():
        clock.now += owed[0]
        owed[0] = 0.0

    found = meter(clock, synchronize=synchronize)
    for _ in range(6):
        owed[0] += 1.0
        found.step_done(100)
    assert found.summary()["tokens_per_second"] == pytest.approx(100)


def test_watched_batches_pass_unchanged_and_their_wait_is_noted(clock):
    def slow():
        for number in range(4):
            clock.now += 1
            yield number

    found, seen = meter(clock, first_steps=1), []
    for batch in found.watched(slow()):
        seen.append(batch)
        clock.now += 3
        found.step_done(10)
    assert seen == [0, 1, 2, 3]
    assert found.data_wait_share == pytest.approx(0.25)


def test_mfu_is_shared_among_devices(clock):
    found = meter(clock, devices=4)
    for _ in range(4):
        step(found, clock)
    assert found.mfu() == pytest.approx(100 * 9072 / 4e6)
    assert mfu(100, 9072, 1e6, 4) == found.mfu()
    assert found.summary()["tokens_per_second_per_device"] == pytest.approx(25)


def test_mfu_never_stands_without_its_formula_and_peak(clock):
    found = meter(clock)
    for _ in range(4):
        step(found, clock)
    assert found.line() == "0.1k tokens/s, MFU 90.7 % (6N + 12LdT, peak 0.000 TFLOP/s)"
    summary = found.summary()
    assert summary["peak_flops"] == 1e6
    assert summary["peak_source"] == "made up"
    assert "not halved for the causal mask" in summary["formula"]
    json.dumps(summary)


def test_the_printed_formula_of_adapters_keeps_every_term(clock):
    found = meter(clock, shape=Shape(params=1000, trained=10, width=8, windows=(0, 0)))
    for _ in range(4):
        step(found, clock)
    # 100 tokens/s x (4000 + 20 + 12 x 2 x 8 x 16) FLOP over 1e6 FLOP/s.
    assert found.line() == "0.1k tokens/s, MFU 70.9 % (4N + 2N_trained + 12LdT, peak 0.000 TFLOP/s)"
    assert found.summary()["formula"].startswith("4N + 2N_trained + 12LdT; N = 1000 ")


def test_the_last_line_of_a_run_holds_data_wait_and_memory_beside_speed(clock):
    found = meter(clock)
    for _ in range(4):
        step(found, clock)
    kept = found.summary() | {"peak_host_bytes": 512_000_000}
    speed = "0.1k tokens/s, MFU 90.7 % (6N + 12LdT, peak 0.000 TFLOP/s)"
    assert found.last_line(kept) == f"{speed}, waited for data 25.0 %, peak memory 0.51 GB on the host"
    on_gpu = kept | {"peak_device_bytes": 65_200_000_000}
    assert found.last_line(on_gpu).endswith("peak memory 65.20 GB on the device and 0.51 GB on the host")
    short = meter(clock)
    assert short.last_line(short.summary() | {"peak_host_bytes": 512_000_000}) == "peak memory 0.51 GB on the host"


def test_a_run_too_short_to_count_says_so_and_keeps_its_memory(clock):
    found = meter(clock, shape=None, peak=None)
    step(found, clock)
    summary = found.summary()
    assert summary["tokens_per_second"] is None
    assert summary["mfu"] is None
    assert summary["left_out_steps"] == 1
    assert summary["peak_host_bytes"] > 50e6


def test_peak_memory_is_in_bytes_and_no_less_than_what_is_held_now():
    import psutil

    found = memory("cpu")["peak_host_bytes"]
    assert 0.99 * psutil.Process().memory_info().rss <= found <= psutil.virtual_memory().total
