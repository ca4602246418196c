"""Real processes: torchrun on this machine, as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.training.parallel.launch import free_port

ROOT = Path(__file__).parents[3]
JOINED = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS", "TORCHELASTIC_RUN_ID")


def environment():
    """Of a shell outside torchrun."""
    return {name: value for name, value in os.environ.items() if name not in JOINED} | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def torchrun():
    """Start `script arguments` under torchrun; nodes are agents on this machine. All outputs; all must end well."""

    def start(processes, script, *arguments, nodes=1):
        port = free_port()
        agents = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", f"--nnodes={nodes}",
                    f"--node-rank={node}", "--master-addr=127.0.0.1", f"--master-port={port}", str(script), *arguments,
                ],
                env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for node in range(nodes)
        ]  # fmt: skip
        outputs = [agent.communicate(timeout=300)[0] for agent in agents]
        for agent, output in zip(agents, outputs, strict=True):
            assert agent.returncode == 0, output
        return "".join(outputs)

    return start
