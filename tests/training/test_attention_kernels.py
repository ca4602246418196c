"""Rows become the streams and arguments that the kernels take, without compiling anew."""

import sys

import pytest
import torch
from attention_models import DEVICE, choice_of, llama, positions

from cptlab.training.attention import (
    Choice,
    document_inputs,
    install,
)
from cptlab.training.attention.flash import flash_kernel
from cptlab.training.attention.stream import span, stream_attention
from cptlab.training.attention.varlen import varlen_kernel

# Documents that differ in number and length, as a loader gives them
MANY = ([40, 60, 28], [128], [100, 28], [10, 20, 30, 40, 28], [64, 64], [1, 127], [90, 38])


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
    assert 1 <= counter.frame_count <= 3


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
    assert 1 <= counter.frame_count <= 2
