"""The peer of `train_gpu.py`: transformers' Trainer at its best settings, and what this environment lets it have."""

from __future__ import annotations

import numpy as np
from gpu_entries import TIMED, WARM, figures, first_that_fits, wait
from gpu_shapes import SHAPES, TINY


def peer_packages(tiny: bool) -> tuple[bool, bool]:
    """(flash-attn, liger-kernel): whether the peer can be given them."""
    from importlib.util import find_spec

    return tuple(find_spec(name) is not None and not tiny for name in ("flash_attn_2_cuda", "liger_kernel"))  # type: ignore[return-value]


def peer_settings(tiny: bool) -> str:
    """One sentence for the table: what of the peer's best settings this environment allows."""
    flash, liger = peer_packages(tiny)
    return (
        f"transformers' Trainer runs {'in fp32, uncompiled, on a CPU' if tiny else 'in bf16, with torch_compile'}, fused AdamW,"
        f" {'flash_attention_2' if flash else 'sdpa (flash-attn is not used: it is not installed here)'} and"
        f" {'Liger kernels' if liger else 'whole logits (Liger kernels are not used: liger-kernel is not installed here)'}."
    )


def theirs(tiny: bool, size: str) -> dict:
    """transformers' Trainer: bf16, torch_compile, fused AdamW, flash attention or sdpa, Liger where it is installed."""
    from tempfile import TemporaryDirectory

    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    shape = (TINY if tiny else SHAPES)[size]
    flash, liger = peer_packages(tiny)
    attention = "flash_attention_2" if flash else "sdpa"

    class Rows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return shape.rows * (WARM + TIMED)

        def __getitem__(self, i: int):
            ids = torch.from_numpy(np.random.default_rng(i).integers(0, shape.vocab, shape.length))
            return {"input_ids": ids, "labels": ids}

    def measure(rows: int) -> dict:
        ends = []

        class Clock(TrainerCallback):
            def on_step_end(self, arguments, state, control, **_) -> None:
                if state.global_step == WARM:
                    if torch.cuda.is_available():
                        torch.cuda.reset_peak_memory_stats()
                    ends.append(wait())
                elif state.global_step == WARM + TIMED:
                    ends.append(wait())

        model = shape.build("cpu" if tiny else "cuda").train()
        model.config.use_cache = False
        if attention != "sdpa":
            model.set_attn_implementation(attention)
        with TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                output_dir=folder, max_steps=WARM + TIMED, per_device_train_batch_size=rows,
                gradient_accumulation_steps=shape.rows // rows, bf16=not tiny, torch_compile=not tiny, use_cpu=tiny,
                optim="adamw_torch_fused", learning_rate=1e-3, lr_scheduler_type="constant", max_grad_norm=1.0,
                weight_decay=0.1, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
                use_liger_kernel=liger, dataloader_num_workers=0,
            )  # fmt: skip
            Trainer(model=model, args=arguments, train_dataset=Rows(), callbacks=[Clock()]).train()
        spread = [ends[0] + (ends[1] - ends[0]) * i / TIMED for i in range(TIMED + 1)]
        return figures(shape, spread) | {"attention": attention, "liger": liger}

    return first_that_fits(shape, measure)
