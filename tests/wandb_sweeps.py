"""Sweeps and agents of the W&B server for tests (wandb_server.py)."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import yaml

HOME = "me"


@dataclass
class KeptSweep:
    """A sweep. waiting: values of the runs that no agent has yet; stop: W&B run ids that are to end early."""

    name: str
    project: str
    config: dict[str, Any]
    waiting: list[dict[str, Any]]
    agents: list[str] = field(default_factory=list)
    handed_out: dict[str, str] = field(default_factory=dict)  # W&B run id -> agent
    stop: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, name: str, project: str, config: dict[str, Any]) -> KeptSweep:
        """A grid in full; of a search `run_cap` runs at the first values."""
        axes = {
            key: entry.get("values") or [entry.get("value", entry.get("min"))]
            for key, entry in config["parameters"].items()
        }
        product = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
        return cls(name, project, config, product[: config.get("run_cap") or None])

    def next_command(self, agent: str, runs: list[str]) -> list[dict[str, Any]]:
        """What an agent that runs these is told; a point is handed out once, whatever becomes of it."""
        if runs:
            return [{"type": "stop", "run_id": run} for run in runs if run in self.stop]
        if not self.waiting:
            return [{"type": "exit"}]
        number = len(self.handed_out)
        run = f"{self.name}r{number}"
        self.handed_out[run] = agent
        args = {key: {"value": value} for key, value in self.waiting.pop(0).items()}
        return [{"type": "run", "id": str(number), "run_id": run, "args": args, "program": self.config["program"]}]


class SweepAnswers:
    """The operations of `wandb sweep` and `wandb agent`."""

    runs: dict[tuple[str, str], dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.sweeps: dict[str, KeptSweep] = {}
        self.lock = threading.Lock()

    def UpsertSweep(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """A sweep is created, or changes its state."""
        project = variables.get("projectName") or "uncategorized"
        home = {"id": "p", "name": project, "entity": {"id": "e", "name": HOME}}
        if not variables.get("id"):
            name = f"sweep{len(self.sweeps)}"
            self.sweeps[name] = KeptSweep.of(name, project, yaml.safe_load(variables["config"]))
        else:
            name = variables["id"]
        return {"upsertSweep": {"sweep": {"name": name, "project": home}, "configValidationWarnings": []}}

    def SweepWithRuns(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """A sweep as its agents see it."""
        sweep = self.sweeps.get(variables["sweep"])
        if sweep is None:
            return {"project": {"sweep": None}}
        runs = self.runs.get((HOME, sweep.project), {}).values()
        seen = {
            "id": sweep.name, "name": sweep.name, "method": sweep.config["method"], "state": "RUNNING", "bestLoss": None,
            "config": yaml.safe_dump(sweep.config), "controller": None, "scheduler": None, "description": None,
            "runs": {"edges": [{"node": run.node()} for run in runs if run.sweep == sweep.name]},
        }  # fmt: skip
        return {"project": {"sweep": seen}}

    def GetSweepState(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Whether it goes on."""
        return {"project": {"sweep": {"state": "RUNNING"}}}

    def CreateAgent(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """An agent joins a sweep."""
        sweep = self.sweeps[variables["sweep"]]
        sweep.agents.append(f"{sweep.name}-agent{len(sweep.agents)}")
        return {"createAgent": {"agent": {"id": sweep.agents[-1]}}}

    def Heartbeat(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """An agent says what it runs and hears what to do."""
        agent, runs = variables["id"], list(json.loads(variables["runState"]))
        with self.lock:
            commands = self.sweeps[agent.split("-")[0]].next_command(agent, runs)
        return {"agentHeartbeat": {"agent": {"id": agent}, "commands": json.dumps(commands)}}
