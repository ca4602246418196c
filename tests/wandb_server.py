"""A W&B server on this machine for tests: what the real client sends is kept, and answered from there.

It speaks the part of the W&B protocol that `wandb.init`, `wandb.Api().runs`, `Run.scan_history`, artifacts, `wandb
sweep`, `wandb agent` and `wandb sync` of wandb 0.31 need: GraphQL (`POST /graphql`, one method of `Answers` for each
operation), the file stream by which a run sends its history and summary, and uploads. Answer another operation by one
more method; an operation without one is answered with an error that names it.

    with WandbServer(folder) as server:
        os.environ.update(server.environment)
        ...                          # wandb.init(project="p"); run.log(...); run.finish()
        server.runs["me", "p"]       # {W&B run id: KeptRun}
        server.sweeps                # {id: KeptSweep}, its grid handed out once, as W&B does
        server.artifacts             # {id: KeptArtifact}; server.uploads holds their files
        server.operations            # names of the GraphQL operations so far, in order
"""

from __future__ import annotations

import json
import re
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wandb_artifacts import ArtifactAnswers
from wandb_sweeps import SweepAnswers

ENTITY = "me"
KEY = "c0ffee5eed" * 4  # of no account; tests look for it where no key may be


@dataclass
class KeptRun:
    """What one run sent. history: its rows as JSON, in the order of `_step`; config: {name: {"value": ...}}."""

    name: str
    display_name: str = ""
    sweep: str | None = None
    group: str | None = None
    state: str = "running"
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    def node(self) -> dict[str, Any]:
        """The run as GraphQL shows it."""
        steps = [json.loads(row)["_step"] for row in self.history]
        return {
            "id": f"id-{self.name}", "name": self.name, "displayName": self.display_name, "sweepName": self.sweep,
            "state": self.state, "group": self.group, "config": json.dumps(self.config),
            "summaryMetrics": json.dumps(self.summary), "systemMetrics": "{}", "historyLineCount": len(self.history),
            "historyKeys": {"lastStep": max(steps, default=-1)}, "projectId": "1", "tags": [], "readOnly": False,
            "createdAt": "2026-01-01T00:00:00Z", "heartbeatAt": "2026-01-01T00:00:00Z", "jobType": None,
            "commit": None, "description": None, "notes": None, "user": {"name": ENTITY, "username": ENTITY},
        }  # fmt: skip


class Answers(SweepAnswers, ArtifactAnswers):
    """One method for each GraphQL operation: variables -> the `data` of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: dict[tuple[str, str], dict[str, KeptRun]] = {}

    def viewer(self, variables: dict[str, Any]) -> dict[str, Any]:
        """Who is logged in; asked under several names of operations."""
        teams = {"edges": [{"node": {"name": ENTITY}}]}
        return {"viewer": {"id": "u", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": teams}}

    def UpsertBucket(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """A run begins, or changes its config."""
        entity, project = variables.get("entity") or ENTITY, variables.get("project") or "uncategorized"
        runs = self.runs.setdefault((entity, project), {})
        known = variables["name"] in runs
        run = runs.setdefault(variables["name"], KeptRun(variables["name"]))
        run.display_name = variables.get("displayName") or run.display_name
        run.sweep = variables.get("sweep") or run.sweep
        run.group = variables.get("groupName") or run.group
        run.config |= json.loads(variables.get("config") or "{}")
        home = {"id": "p", "name": project, "entity": {"id": "e", "name": entity}}
        bucket = run.node() | {"project": home, "historyLineCount": len(run.history)}
        return {"upsertBucket": {"bucket": bucket, "inserted": not known}}

    def OrganizationCoreWeaveOrganizationID(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Of no organization."""
        return {"entity": {"organization": None}}

    def CreateRunFiles(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Addresses for the files that a run uploads."""
        files = [{"name": name, "uploadUrl": f"{self.address}/upload"} for name in variables["files"]]
        return {"createRunFiles": {"runID": "r", "uploadHeaders": [], "files": files}}

    def Runs(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """A page of a project's runs; of the filters, `sweep` and `state` are understood."""
        runs = self.runs.get((variables["entity"], variables["project"]))
        if runs is None:
            return {"project": None}
        wanted = json.loads(variables.get("filters") or "{}")
        wanted = {k: v for part in (wanted, *wanted.get("$and", [])) for k, v in part.items() if k != "$and"}
        found = [run for run in runs.values() if all(getattr(run, k) == v for k, v in wanted.items())]
        start, size = int(variables.get("cursor") or 0), variables.get("perPage") or 50
        edges = [
            {"node": run.node(), "cursor": str(start + i + 1)} for i, run in enumerate(found[start : start + size])
        ]
        page = {"endCursor": str(start + len(edges)), "hasNextPage": start + size < len(found)}
        listing = {"edges": edges, "pageInfo": page}
        return {"project": {"internalId": "1", "runCount": len(found), "readOnly": False, "runs": listing}}

    def Run(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """One run."""
        return {"project": {"run": self._one(variables).node()}}

    RunHistoryKeys = Run

    def RunParquetHistory(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """No run is old enough to have been exported."""
        return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}

    def HistoryPage(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """The history of one run, of steps minStep <= step < maxStep."""
        low, high = variables["minStep"], variables["maxStep"]
        rows = [row for row in self._one(variables).history if low <= json.loads(row)["_step"] < high]
        return {"project": {"run": {"history": rows}}}

    def ServerFeaturesQuery(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """None of them."""
        return {"serverInfo": {"features": []}}

    def _one(self, variables: dict[str, Any]) -> KeptRun:
        name = variables.get("name") or variables.get("run") or variables["runName"]
        return self.runs[variables["entity"], variables["project"]][name]


class WandbServer(Answers):
    """The server with its thread; a context manager that also points the client's environment at it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.operations, self.unknown = folder, [], []
        self.silent = False  # True: takes what comes and says nothing, as a network that is gone
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to use this server and no file of the user."""
        folders = {f"WANDB_{name}": str(self.folder) for name in ("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR")}
        return {"WANDB_BASE_URL": self.address, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false", **folders}

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def execute(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Answer one GraphQL request."""
        named = re.search(r"(?:query|mutation)\s+(\w+)", query)
        name = named[1] if named else ""
        self.operations.append(name)
        answer = getattr(self, name, None) or (self.viewer if "viewer" in query else None)
        if answer is None:
            self.unknown.append(query)
            return {"data": None, "errors": [{"message": f"the test server does not know {name or query[:80]!r}"}]}
        return {"data": answer(variables)}

    def stream(self, path: str, sent: dict[str, Any]) -> None:
        """Take a piece of a run's file stream: history lines, the summary, the exit code."""
        entity, project, name = path.split("/")[2:5]
        run = self.runs[entity, project][name]
        files = sent.get("files") or {}
        if history := files.get("wandb-history.jsonl"):
            run.history[history["offset"] :] = history["content"]
        if summary := files.get("wandb-summary.json"):
            run.summary = json.loads(summary["content"][-1])
        if sent.get("complete"):
            run.state = "failed" if sent.get("exitcode") else "finished"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter of a test's output."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def parse_request(self) -> bool:
            self.close_connection = True  # where it returns False
            return super().parse_request() and not server.silent

        def do_POST(self) -> None:
            sent = json.loads(self._body() or "{}")
            if self.path.startswith("/graphql"):
                self._answer(server.execute(sent["query"], sent.get("variables") or {}))
            else:
                server.stream(self.path, sent)
                self._answer({})

        def do_PUT(self) -> None:
            server.uploads[self.path] = self._body()
            self._answer({})

        def do_GET(self) -> None:
            self._send(server.uploads.get(self.path, b"{}"))

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _answer(self, content: dict[str, Any]) -> None:
            self._send(json.dumps(content).encode())

        def _send(self, text: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
