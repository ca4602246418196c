"""Tiny models, packed rows and the backends that this machine runs, for the tests of attention."""

import functools

import pytest
import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)
from transformers.masking_utils import sdpa_mask

from cptlab.training.attention import Choice, document_inputs, install
from cptlab.training.attention.choice import BACKENDS, STREAMED
from cptlab.training.attention.install import NAMES
from cptlab.training.attention.probe import kernel_fails, missing_package
from cptlab.training.attention.stream import stream_attention

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
REFERENCE = "stream_reference"  # the path of varlen and flash around a kernel that any device runs
SIZES = {"vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def llama(**fields):
    """Grouped queries: four heads share two keys. Initialised widely, so that attention matters."""
    fields = {"num_key_value_heads": 2, "initializer_range": 0.2} | fields
    return build(LlamaForCausalLM, LlamaConfig(**SIZES, intermediate_size=64, max_position_embeddings=512, **fields))


def gpt2():
    drop = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    return build(GPT2LMHeadModel, GPT2Config(vocab_size=50, n_embd=64, n_layer=2, n_head=4, n_positions=512,
                                             initializer_range=0.2, **drop))  # fmt: skip


def neox():
    config = GPTNeoXConfig(**SIZES, intermediate_size=64, max_position_embeddings=512, initializer_range=0.2)
    return build(GPTNeoXForCausalLM, config)


def qwen2():
    config = Qwen2Config(**SIZES, intermediate_size=64, max_position_embeddings=512, num_key_value_heads=2)
    return build(Qwen2ForCausalLM, config)


def mistral(window):
    config = MistralConfig(**SIZES, intermediate_size=64, max_position_embeddings=512, num_key_value_heads=2,
                           sliding_window=window, initializer_range=0.2)  # fmt: skip
    return build(MistralForCausalLM, config)


def build(make, config):
    torch.manual_seed(0)
    return make(config).to(DEVICE)


@functools.cache
def skip_reason(name):
    """Why a backend cannot run here; "" if it can (flex on a CPU: forward only)."""
    if name in STREAMED and not CUDA:
        return f"{name} needs a GPU"
    if name in (*STREAMED, "flex") and CUDA:
        return missing_package(name) or kernel_fails(name)
    return ""


def backends(*left_out):
    """Parameters of a test: every backend but those left out, skipped with the reason where it cannot run."""
    return pytest.mark.parametrize(
        "name",
        [
            pytest.param(name, marks=pytest.mark.skipif(bool(skip_reason(name)), reason=skip_reason(name) or "-"))
            for name in (*BACKENDS, REFERENCE)
            if name not in left_out
        ],
    )


def trainable(name):
    """Skips where the backend has no backward."""
    if name == "flex" and not CUDA:
        pytest.skip("torch has no backward of flex on a CPU")


def by_document(query, key, value, starts, longest, scale, causal, window, dropout):
    """Attention over a stream as it is defined: one document after the other."""
    done = []
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        assert end - start <= longest
        q, k, v = (each[start:end].transpose(0, 1) for each in (query, key, value))
        k, v = (each.repeat_interleave(len(q) // len(each), 0) for each in (k, v))
        distance = torch.arange(end - start)[:, None] - torch.arange(end - start)
        allowed = distance >= 0 if causal else distance == distance
        if window is not None:
            allowed &= distance.abs() < window
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(~allowed.to(q.device), float("-inf"))
        done.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(done)


def choice_of(name):
    return Choice("varlen", REFERENCE, DEVICE) if name == REFERENCE else Choice(name, device_type=DEVICE)


def positions(*rows):
    """Rows given by the lengths of their documents -> (B, T)."""
    return torch.stack([torch.cat([torch.arange(length) for length in row]) for row in rows])


def tokens(position_ids, seed=0):
    return torch.randint(50, position_ids.shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def logits(model, ids, position_ids, choice, causal=True):
    """Logits in fp32; the half-precision kernels run under autocast, as in training."""
    documents = document_inputs(position_ids, choice, device=DEVICE, causal=causal)
    with torch.autocast(DEVICE, torch.bfloat16, enabled=in_half(choice)):
        return model(input_ids=ids, use_cache=False, **documents).logits.float()


def in_half(choice):
    return choice.name in STREAMED and choice.why != REFERENCE


def installed(model, name):
    if name == REFERENCE:
        AttentionInterface.register(NAMES["varlen"], stream_attention("varlen", by_document))
        AttentionMaskInterface.register(NAMES["varlen"], sdpa_mask)
        model.set_attn_implementation(NAMES["varlen"])
    else:
        install(model, choice_of(name))
    return model.eval()
