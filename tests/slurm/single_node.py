"""A SLURM of one node: munged, slurmctld and slurmd of the Debian packages, without systemd, cgroups or accounting.

    python tests/slurm/single_node.py -- sinfo        # a command inside it; without one, a shell

Everything lies in a temporary folder and on free ports, so several may run; all of it ends with the command.
Two partitions: `main`, and `high`, whose jobs preempt those of `main` (they are requeued).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGES = "slurm-wlm munge"
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
CONF = """
ClusterName=single
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait={kill_wait}
SlurmdParameters=config_overrides
DefMemPerCPU=100
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes={host} MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""


def path() -> str:
    """PATH with the folders of daemons."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def missing() -> str:
    """Why no SLURM can be brought up here; "" if it can."""
    absent = [name for name in NEEDED if not shutil.which(name, path=path())]
    if absent:
        return f"no {', '.join(absent)} (apt-get install --no-install-recommends {PACKAGES})"
    return "" if os.geteuid() == 0 else "SLURM's daemons need root to start jobs"


class SingleNode:
    """A context in which SLURM runs; `environment` points commands at it."""

    def __init__(self, cpus: int = 2, kill_wait: int = 5) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # short: a socket's path has 107 characters
        self.cpus, self.kill_wait = cpus, kill_wait
        self.daemons: list[subprocess.Popen] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        self.environment = kept | {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path()}

    def __enter__(self) -> SingleNode:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def run(self, *command: str, check: bool = True) -> str:
        """What a SLURM command prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def _start(self) -> None:
        folder, host = self.folder, socket.gethostname().split(".")[0]
        folder.chmod(0o755)
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir(mode=0o755)
        key = folder / "munge" / "key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        ports = {"controller_port": free_port(), "node_port": free_port()}
        (folder / "slurm.conf").write_text(
            CONF.format(host=host, folder=folder, cpus=self.cpus, kill_wait=self.kill_wait, **ports)
        )
        munge = folder / "munge"
        self._daemon(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", f"--log-file={munge}/log",
        )  # fmt: skip
        self._wait(lambda: (folder / "munge.socket").exists(), "munged")
        self._daemon("slurmctld", "-D", "-c", "-f", str(folder / "slurm.conf"))
        self._daemon("slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", host)
        self._wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False), "slurmd")

    def _daemon(self, *command: str) -> None:
        log = self.folder / f"{command[0]}.out"
        with log.open("w") as output:
            self.daemons.append(
                subprocess.Popen(
                    [shutil.which(command[0], path=path()) or command[0], *command[1:]], env=self.environment,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=die_with_parent,
                )
            )  # fmt: skip

    def _wait(self, ready, name: str) -> None:
        deadline = time.monotonic() + 30
        while not ready():
            ended = any(daemon.poll() is not None for daemon in self.daemons)
            if ended or time.monotonic() > deadline:
                logs = "".join(log.read_text(errors="replace")[-1500:] for log in self.folder.glob("*.[ol]*[ut]*"))
                raise RuntimeError(f"{name} did not come up: {logs}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End all jobs, then the daemons in the opposite order, and remove the folder."""
        if len(self.daemons) == 3:
            user = str(os.geteuid())
            subprocess.run(["scancel", "--quiet", "--user", user], env=self.environment, timeout=30, check=False)
            subprocess.run(["scancel", "--quiet", "--signal=KILL", "--full", "--user", user],
                           env=self.environment, timeout=30, check=False)  # fmt: skip
            deadline = time.monotonic() + self.kill_wait + 5
            while self.run("squeue", "-h", check=False).strip() and time.monotonic() < deadline:
                time.sleep(0.1)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self.daemons = []
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def die_with_parent() -> None:
    """A daemon whose starter was killed ends too."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def main() -> int:
    """Run a command, or a shell, inside a SLURM of its own; its exit code."""
    if reason := missing():
        print(f"error: {reason}", file=sys.stderr)
        return 2
    command = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [os.environ.get("SHELL", "/bin/sh")]
    with SingleNode() as node:
        return subprocess.run(command, env=node.environment).returncode


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave the context
    sys.exit(main())
