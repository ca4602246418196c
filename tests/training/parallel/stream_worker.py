"""One process of test_streaming: streams a model into shards, saves it, prints how much memory each took [bytes]."""

import json
import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from transformers import LlamaForCausalLM

from cptlab.training.machine import Machine
from cptlab.training.network import Network
from cptlab.training.objective import CLM
from cptlab.training.parallel.arrange import arrange
from cptlab.training.parallel.gather import save_whole
from cptlab.training.parallel.streaming import build_on_meta


def anonymous() -> int:
    """Bytes of this process that are no pages of files."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


class Peak:
    """Most memory beyond that at the start, sampled every millisecond."""

    def __enter__(self):
        self.base, self.bytes, self.on = anonymous(), 0, True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while self.on:
            self.bytes = max(self.bytes, anonymous() - self.base)
            time.sleep(0.001)

    def __exit__(self, *_):
        self.on = False
        self.thread.join()


folder, out = Path(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
machine = Machine(devices=2, strategy="fsdp")
mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
trainer = SimpleNamespace(strategy=SimpleNamespace(device_mesh=mesh, root_device=torch.device("cpu")))
with Peak() as whole:
    model = LlamaForCausalLM.from_pretrained(folder, dtype="float32")
    copies = [parameter.detach().clone() for parameter in model.parameters()]  # the files were only mapped
del model, copies
dist.barrier()
with Peak() as stream:
    model = build_on_meta(folder, 100, 32)
    arrange(Network(model, CLM()), machine, trainer, folder)
local = sum(parameter.to_local().numel() * 4 for parameter in model.parameters())
with Peak() as save:
    save_whole(model, out, rank == 0, file_bytes=40_000_000)
tied = model.lm_head.weight is model.model.embed_tokens.weight
report = {"whole": whole.bytes, "stream": stream.bytes, "local": local, "save": save.bytes, "tied": tied}
Path(out.parent, f"rank{rank}.json").write_text(json.dumps(report))
dist.barrier()
dist.destroy_process_group()
os._exit(0)
