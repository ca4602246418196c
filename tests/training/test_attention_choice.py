"""Which attention is taken on which machine, and what is refused before anything runs."""

import subprocess
import sys

import pytest
import torch

from cptlab.errors import UserError
from cptlab.training.attention import (
    Choice,
    check,
    choice,
    choose,
    probe,
)


def test_a_cpu_takes_sdpa_and_says_why():
    taken = choose("auto", "cpu", "fp32", "llama")
    assert str(taken) == "sdpa: flash kernels need a GPU, and flex has no backward on a cpu"


def test_a_backend_that_is_asked_for_and_runs_is_taken():
    assert choose("eager", "cpu", "fp32", "llama") == Choice("eager", "as asked for", "cpu")
    assert choose("sdpa", "cpu", torch.float32).name == "sdpa"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("varlan", "cpu", "fp32"), r"machine\.attention is varlan\. Did you mean varlen\? \(others: auto, eager"),
        (
            ("flash_attention_2", "cpu", "bf16"),
            "needs a GPU, and this run is on a cpu; machine.attention=auto would take sdpa",
        ),
        (
            ("varlen", "cuda", "fp32"),
            r"bf16 or fp16, and this run in fp32 \(machine.precision=bf16 would do\); .*take flex or sdpa",
        ),
        (("flash_attention_3", "cuda", torch.float32), "bf16 or fp16, and this run in fp32"),
        (("flex", "cpu", "fp32"), "no backward of it on a cpu; machine.attention=auto would take sdpa"),
    ],
)
def test_what_can_work_nowhere_is_refused_at_preflight(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        check(*arguments)
    with pytest.raises(UserError, match=sentence):
        choose(*arguments)


def test_the_preflight_needs_no_torch():
    code = (
        "import sys; from cptlab.training.attention import check, choose; check('varlen', 'cuda', 'bf16');"
        "choose('auto', 'cpu', 'fp32'); print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.skipif(not probe.missing_package("flash_attention_3"), reason="flash-attn 3 is installed")
def test_an_absent_package_is_named_with_the_way_to_get_it_and_what_auto_takes(monkeypatch):
    monkeypatch.setattr(choice, "order", lambda: ("flash_attention_3", "sdpa"))
    with pytest.raises(UserError, match=r"flash-attn 3 is not installed \(build .*; .*auto would take sdpa"):
        choose("flash_attention_3", "cuda", "bf16", "llama")


def test_a_package_built_for_another_torch_is_an_obstacle_and_no_crash(tmp_path, monkeypatch):
    """Looking for a part of a package imports the package; this one is what a build against another torch does."""
    (tmp_path / "flash_attn").mkdir()
    (tmp_path / "flash_attn" / "__init__.py").write_text("raise ImportError('undefined symbol: _ZN3c105Error')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    said = "flash-attn-4 is installed but cannot be imported (undefined symbol: _ZN3c105Error): pip install"
    assert probe.missing_package("flash_attention_4").startswith(said)


def test_auto_goes_down_the_order_and_names_each_obstacle(monkeypatch):
    monkeypatch.setattr(choice, "order", lambda: ("flash_attention_3", "flash_attention_2", "varlen", "flex", "sdpa"))
    monkeypatch.setattr(
        choice, "missing_package", lambda name: f"no {name} here" if name.startswith("flash") else ""
    )  # fmt: skip
    monkeypatch.setattr(choice, "kernel_fails", lambda name: "it crashes" if name == "varlen" else "")
    assert choose("auto", "cuda", "bf16") == Choice(
        "flex", "flash_attention_3: no flash_attention_3 here; flash_attention_2: no flash_attention_2 here;"
        " varlen: it crashes", "cuda",
    )  # fmt: skip
    fp32 = choose("auto", "cuda", "fp32")
    assert fp32.name == "flex"
    assert "varlen: it computes in bf16 or fp16" in fp32.why


def test_a_model_with_scores_of_its_own_takes_its_own_function():
    assert str(choose("auto", "cpu", "fp32", "gemma2")).startswith("eager: gemma2 needs")
    with pytest.raises(UserError, match=r"needs eager, its scores are soft-capped; .*auto would take eager"):
        choose("sdpa", "cpu", "fp32", "gemma2")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_kernel_is_no_choice_without_a_gpu():
    assert probe.kernel_fails("varlen") == "torch sees no GPU"
    assert probe.kernel_fails("sdpa") == ""
