"""Real processes: torchrun on this machine, as a user types it."""

import subprocess
import sys

import pytest
from outside import ROOT, environment

from cptlab.training.parallel.launch import free_port


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
