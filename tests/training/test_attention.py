"""Choosing a backend, its inputs, and refusing models and rows that it cannot do."""

import json
import subprocess
import sys

import pytest
import torch
from attention_models import DEVICE, choice_of, gpt2, llama, mistral, positions
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import create_block_mask
from transformers import BloomConfig, BloomForCausalLM, Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel

from cptlab.errors import UserError
from cptlab.training.attention import (
    ATTENTIONS,
    Choice,
    check,
    choice,
    choose,
    document_inputs,
    document_mask,
    install,
    probe,
    refuse_leaking_documents,
)
from cptlab.training.attention.documents import block_mask, cumulative_lengths
from cptlab.training.attention.flash import flash_kernel
from cptlab.training.attention.install import NAMES
from cptlab.training.attention.stream import span, stream_attention
from cptlab.training.attention.varlen import varlen_kernel

ROWS = st.integers(1, 300).flatmap(
    lambda length: st.lists(
        st.sets(st.integers(1, max(length - 1, 1)), max_size=6).map(
            lambda cuts: [b - a for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), length], strict=True) if b > a]
        ),
        min_size=1,
        max_size=3,
    )
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
        (("flash_attention_2", "cpu", "bf16"), "needs a GPU, and this run is on a cpu; take sdpa or auto"),
        (("varlen", "cuda", "fp32"), r"bf16 or fp16, and this run in fp32 \(machine.precision=bf16 would do\)"),
        (("flash_attention_3", "cuda", torch.float32), "bf16 or fp16, and this run in fp32"),
        (("flex", "cpu", "fp32"), "no backward of it on a cpu; take sdpa"),
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


def test_the_mask_by_hand():
    by_hand = [[[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]]
    assert document_mask(positions([2, 2])).int().tolist() == [by_hand]
    both_ways = [[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]]
    assert document_mask(positions([2, 2]), causal=False).int().tolist() == [both_ways]


def test_cumulative_lengths_by_hand():
    ends, longest = cumulative_lengths(positions([3, 5], [8]))
    assert (ends.tolist(), longest, ends.dtype) == ([0, 3, 8, 16], 8, torch.int32)
    assert cumulative_lengths(positions([5, 2, 93]))[1] == 100  # the next power of two would exceed the row
    assert cumulative_lengths(positions([5, 2, 33]))[1] == 40
    assert cumulative_lengths(positions([17, 9, 30, 44]))[1] == 64
    middle_of_a_document = torch.tensor([[7, 8, 0, 1], [3, 4, 5, 6]])
    assert cumulative_lengths(middle_of_a_document)[0].tolist() == [0, 2, 4, 8]


@given(ROWS)
def test_cumulative_lengths_are_the_lengths_of_the_documents(rows):
    ends, longest = cumulative_lengths(positions(*rows))
    lengths = [length for row in rows for length in row]
    assert ends.diff().tolist() == lengths
    assert max(lengths) <= longest <= min(sum(rows[0]), 2 * max(lengths))


@given(ROWS, st.booleans())
def test_the_block_mask_is_the_one_that_torch_finds_by_trying_every_pair(rows, causal):
    position_ids = positions(*rows)
    found = block_mask(position_ids, causal)
    dense = document_mask(position_ids, causal)
    length = position_ids.shape[-1]
    expected = create_block_mask(
        lambda b, h, q, k: dense[b, 0, q, k], len(rows), None, length, length, device="cpu"
    )  # fmt: skip
    assert torch.equal(found.to_dense(), expected.to_dense())
    for name in ("kv_num_blocks", "full_kv_num_blocks", "q_num_blocks", "full_q_num_blocks"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    index = torch.arange(length)
    queries, keys = index[:, None], index[None, :]
    allowed = torch.stack([found.mask_mod(torch.tensor(b), torch.tensor(0), queries, keys) for b in range(len(rows))])
    assert torch.equal(allowed[:, None], dense)


def test_rows_without_inner_boundaries_have_an_empty_mask_and_others_a_full_one():
    sdpa = Choice("sdpa")
    assert document_inputs(positions([6], [6]), sdpa)["attention_mask"].shape == (2, 1, 0, 0)
    assert document_inputs(positions([6], [3, 3]), sdpa)["attention_mask"].shape == (2, 1, 6, 6)


def test_inputs_of_a_stream_by_hand():
    made = document_inputs(positions([3, 5], [8]), Choice("varlen"), causal=False)
    assert made["cu_seq_lens_q"].tolist() == made["cu_seq_lens_k"].tolist() == [0, 3, 8, 16]
    assert (made["max_length_q"], made["max_length_k"], made["is_causal"]) == (8, 8, False)
    assert isinstance(made["max_length_q"], int)
    assert made["attention_mask"].numel() == 0


def test_a_stream_is_cut_and_put_together_in_the_order_of_rows_and_heads():
    seen = {}

    def kernel(query, key, value, starts, longest, scale, causal, window, dropout):
        seen.update(shapes=(query.shape, key.shape), starts=starts.tolist(), longest=longest, scale=scale)
        seen.update(causal=causal, window=window, dtype=query.dtype)
        return query

    attend = stream_attention("varlen", kernel)
    query, key = torch.randn(2, 4, 8, 16), torch.randn(2, 2, 8, 16)
    made = document_inputs(positions([3, 5], [8]), Choice("varlen"))
    out, weights = attend(torch.nn.Module(), query, key, key.bfloat16(), scaling=0.5, sliding_window=5, **made)
    assert weights is None
    torch.testing.assert_close(out, query.transpose(1, 2).bfloat16())
    assert seen == {"shapes": ((16, 4, 16), (16, 2, 16)), "starts": [0, 3, 8, 16], "longest": 8, "scale": 0.5,
                    "causal": True, "window": 5, "dtype": torch.bfloat16}  # fmt: skip


def test_a_model_that_keeps_the_boundaries_to_itself_is_found_out():
    attend = stream_attention("varlen", lambda query, *rest: query)
    query = torch.randn(1, 2, 4, 8)
    with pytest.raises(ValueError, match="does not hand the boundaries"):
        attend(torch.nn.Module(), query, query, query, torch.empty(1, 1, 0, 0))


def test_the_span_of_a_window_counts_the_token_itself():
    assert span(True, None) == (-1, 0)
    assert span(False, None) == (-1, -1)
    assert span(True, 5) == (4, 0)
    assert span(False, 5) == (4, 4)


@pytest.mark.parametrize(("causal", "window"), [(True, None), (False, None), (True, 3)])
def test_varlen_attn_is_called_as_this_torch_defines_it(monkeypatch, causal, window):
    import torch.nn.attention.varlen as varlen

    seen = {}

    def recorded(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1),
                 enable_gqa=False):  # fmt: skip
        seen.update(max=(max_q, max_k), scale=scale, window=window_size, grouped=enable_gqa)
        return query

    monkeypatch.setattr(varlen, "varlen_attn", recorded)
    query, key = torch.randn(6, 4, 8), torch.randn(6, 2, 8)
    varlen_kernel()(query, key, key, torch.tensor([0, 6]), 6, 0.3, causal, window, 0.0)
    expected = (-1 if window is None else 2, 0 if causal else -1)
    assert seen == {"max": (6, 6), "scale": 0.3, "window": expected, "grouped": True}


def test_an_older_varlen_attn_gets_scaled_queries_and_repeated_keys(monkeypatch):
    import torch.nn.attention.varlen as varlen

    seen = {}

    def older(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False, return_aux=None):
        seen.update(query=query, key=key, causal=is_causal)
        return query

    monkeypatch.setattr(varlen, "varlen_attn", older)
    query, key = torch.randn(6, 4, 16), torch.randn(6, 2, 16)
    varlen_kernel()(query, key, key, torch.tensor([0, 6]), 6, 0.5, True, None, 0.0)
    torch.testing.assert_close(seen["query"], query * 2)  # 0.5 over the 0.25 that it applies itself
    torch.testing.assert_close(seen["key"], key[:, [0, 0, 1, 1]])
    assert seen["causal"] is True


def test_flash_attention_is_called_by_the_names_of_its_generations(monkeypatch):
    import types

    seen = {}

    def function(query, key, value, **named):
        seen.update(named)
        return query, torch.zeros(1)  # with the log-sum-exp

    monkeypatch.setitem(sys.modules, "flash_attn_interface", types.SimpleNamespace(flash_attn_varlen_func=function))
    query = torch.randn(6, 4, 8)
    starts = torch.tensor([0, 6])
    out = flash_kernel("flash_attention_3")(query, query, query, starts, 6, 0.3, True, 4, 0.0)
    assert out is query
    assert seen == {"cu_seqlens_q": starts, "cu_seqlens_k": starts, "max_seqlen_q": 6, "max_seqlen_k": 6,
                    "softmax_scale": 0.3, "causal": True, "window_size": (3, 0)}  # fmt: skip
    with pytest.raises(ValueError, match="flash_attention_3 has no dropout"):
        flash_kernel("flash_attention_3")(query, query, query, starts, 6, 0.3, True, None, 0.1)


def test_no_name_of_ours_makes_transformers_look_for_kernels():
    assert set(NAMES) == set(ATTENTIONS) - {"auto"}
    assert not any("flash" in name for name in NAMES.values())


def test_the_installed_name_is_not_saved_with_the_model(tmp_path):
    model = llama()
    install(model, choice_of("sdpa"))
    assert model.config._attn_implementation == "cptlab_sdpa"
    model.save_pretrained(tmp_path)
    assert "cptlab" not in (tmp_path / "config.json").read_text()
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "llama"


def test_dropout_and_windows_that_a_backend_lacks_are_refused():
    dropped = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50))  # 0.1 by default
    with pytest.raises(UserError, match=r"flex has no dropout and the model has attn_pdrop 0\.1"):
        install(dropped, Choice("flex"))
    with pytest.raises(UserError, match=r"eager makes no sliding window, and the model's of 20 .*rows of 512"):
        install(mistral(window=20), Choice("eager"))
    model = mistral(window=20)
    install(model, Choice("eager"), sequence_length=20)
    assert model.config._attn_implementation == "eager"


def test_a_model_that_cannot_be_redirected_is_refused():
    bloom = BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(UserError, match="model type bloom takes no other attention function"):
        install(bloom, choice_of("sdpa"))


def test_soft_capped_scores_are_refused_by_a_fused_function_and_done_by_eager():
    config = Gemma2Config(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, head_dim=8,
                          num_key_value_heads=1, intermediate_size=16, max_position_embeddings=64)  # fmt: skip
    model = Gemma2ForCausalLM(config).to(DEVICE)
    with pytest.raises(UserError, match=r"model type gemma2 takes no machine.attention=sdpa .*machine.attention=eager"):
        install(model, choice_of("sdpa"), sequence_length=64)
    install(model, choice_of("flex"), sequence_length=64)
    with pytest.raises(UserError, match=r"flex knows no softcap of this model; take machine.attention=eager"):
        refuse_leaking_documents(model, choice_of("flex"))
    install(model, choice_of("eager"), sequence_length=64)
    refuse_leaking_documents(model, choice_of("eager"))
    assert model.training


@pytest.mark.parametrize("make", [llama, gpt2])
@pytest.mark.parametrize("name", ["sdpa", "eager"])
def test_models_that_keep_documents_apart_pass_and_stay_as_they_were(name, make):
    model = make().train()
    install(model, choice_of(name))
    refuse_leaking_documents(model, choice_of(name))
    assert model.training


def test_a_model_without_weights_is_checked_by_a_copy_of_one_layer():
    make, config = type(llama()), llama().config
    with torch.device("meta"):
        model = make(config)
    install(model, choice_of("sdpa"))
    refuse_leaking_documents(model, choice_of("sdpa"))
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_a_function_that_ignores_the_boundaries_is_found_out(monkeypatch):
    from transformers import AttentionInterface

    from cptlab.training.attention.sdpa import sdpa_attention

    model, attend = llama(), sdpa_attention()
    install(model, choice_of("sdpa"))

    def leaks(module, query, key, value, attention_mask, **kwargs):
        return attend(module, query, key, value, None, **kwargs)

    def blind(module, query, key, value, attention_mask, **kwargs):
        out, _ = attend(module, query, key, value, attention_mask, **kwargs)
        return torch.zeros_like(out), None

    for function, sentence in ((leaks, "see each other"), (blind, "does not see the earlier tokens")):
        monkeypatch.setitem(AttentionInterface._global_mapping, "cptlab_sdpa", function)
        with pytest.raises(UserError, match=sentence):
            refuse_leaking_documents(model, choice_of("sdpa"))


# Documents that differ in number and length, as a loader gives them
MANY = ([40, 60, 28], [128], [100, 28], [10, 20, 30, 40, 28], [64, 64], [1, 127], [90, 38])


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks for one as it traces
def test_other_documents_do_not_compile_the_layers_anew():
    from torch._dynamo.testing import CompileCounter
    from transformers import AttentionInterface

    torch._dynamo.reset()
    model = llama()
    install(model, choice_of("sdpa"))
    AttentionInterface.register("cptlab_test", stream_attention("varlen", lambda query, *rest: query * 1.0))
    model.config._attn_implementation = "cptlab_test"
    counter = CompileCounter()
    for layer in model.model.layers:
        layer.compile(backend=counter, fullgraph=True)
    for row in MANY:
        inputs = document_inputs(positions(row, row), Choice("varlen"), device=DEVICE)
        model(input_ids=torch.zeros(2, 128, dtype=torch.long, device=DEVICE), use_cache=False, **inputs)
    # One graph with the first numbers of documents and bound, one with any number, one with any bound
    assert counter.frame_count <= 3


def test_other_block_masks_do_not_compile_flex_anew():
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    model = llama().eval()
    install(model, choice_of("flex"))
    counter = CompileCounter()
    for layer in model.model.layers:
        layer.compile(backend=counter, fullgraph=True)
    with torch.no_grad():
        for row in MANY:
            inputs = document_inputs(positions(row, row), choice_of("flex"), device=DEVICE)
            model(input_ids=torch.zeros(2, 128, dtype=torch.long, device=DEVICE), use_cache=False, **inputs)
    assert counter.frame_count <= 2
