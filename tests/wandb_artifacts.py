"""Artifacts of the W&B server for tests (wandb_server.py): logged whole, read back as they were."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MANIFEST = "wandb_manifest.json"


@dataclass
class KeptArtifact:
    """A logged artifact. files: names of those announced; committed: whether the client said that it is whole."""

    id: str
    name: str
    kind: str
    project: str
    digest: str
    files: list[str] = field(default_factory=list)
    committed: bool = False

    def node(self) -> dict[str, Any]:
        """As GraphQL shows it."""
        return {
            "__typename": "Artifact", "id": self.id, "artifactSequence": self.home(),
            "versionIndex": 0, "artifactType": {"name": self.kind}, "description": None, "metadata": "{}",
            "ttlDurationSeconds": 0, "ttlIsInherited": False, "tags": [], "historyStep": None,
            "state": "COMMITTED" if self.committed else "PENDING", "size": 1, "digest": self.digest,
            "commitHash": "c", "fileCount": len(self.files), "aliases": [], "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": None,
        }  # fmt: skip

    def home(self) -> dict[str, Any]:
        """The list of versions that it is one of."""
        project = {"id": "1", "internalId": "1", "name": self.project, "entity": {"name": "me"}}
        return {"__typename": "ArtifactSequence", "name": self.name, "project": project}


class ArtifactAnswers:
    """The operations by which artifacts are logged and read back."""

    address = ""

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, KeptArtifact] = {}
        self.uploads: dict[str, bytes] = {}  # path of an upload -> its content

    def ArtifactType(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Of which type an artifact of that name is; of none before its first version."""
        return {"project": {"artifact": None}}

    def CreateArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """An artifact begins."""
        given, name = variables["input"], f"artifact{len(self.artifacts)}"
        self.artifacts[name] = KeptArtifact(
            name, given["artifactCollectionName"], given["artifactTypeName"], given["projectName"], given["digest"]
        )
        begun = {"id": name, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": begun}}

    def CreateArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Where its list of files goes."""
        given = variables.get("input") or variables
        file = self._upload(given["artifactID"], MANIFEST)
        return {"createArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}

    def CreateArtifactFiles(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Where its files go."""
        given = variables.get("artifactFiles") or variables["input"]["artifactFiles"]
        for each in given:
            self.artifacts[each["artifactID"]].files.append(each["name"])
        edges = [{"node": self._upload(each["artifactID"], each["name"])} for each in given]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def CommitArtifact(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """It is whole."""
        kept = self.artifacts[(variables.get("input") or variables)["artifactID"]]
        kept.committed = True
        return {"commitArtifact": {"artifact": {"id": kept.id, "digest": kept.digest}}}

    def ArtifactByID(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """What was logged."""
        return {"artifact": self.artifacts[variables["id"]].node()}

    def ArtifactMembershipByName(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """The same by the name that users know."""
        name = variables["name"].split(":")[0]
        kept = [each for each in self.artifacts.values() if (each.name, each.project) == (name, variables["project"])]
        if not kept or not kept[-1].committed:
            return {"project": {"artifactCollectionMembership": None}}
        found = {
            "__typename": "ArtifactCollectionMembership", "id": "m", "versionIndex": 0, "aliases": [],
            "createdAt": "2026-01-01T00:00:00Z", "artifactCollection": kept[-1].home(),
            "artifact": kept[-1].node(),
        }  # fmt: skip
        return {"project": {"artifactCollectionMembership": found}}

    def FetchArtifactManifest(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Where its list of files lies."""
        return {"artifact": {"currentManifest": {"file": {"directUrl": self._url(variables["id"], MANIFEST)}}}}

    def GetArtifactMembershipFileUrls(self, variables: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Where its files lie."""
        kept = next(each for each in self.artifacts.values() if each.name == variables["collection"])
        nodes = [{"__typename": "File", "name": name, "directUrl": self._url(kept.id, name)} for name in kept.files]
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        files = {"pageInfo": page, "edges": [{"node": node} for node in nodes]}
        found = {"__typename": "ArtifactSequence", "artifactMembership": {"files": files}}
        return {"project": {"artifactCollection": found}}

    def _upload(self, artifact: str, name: str) -> dict[str, Any]:
        return {
            "id": name, "name": name, "displayName": name, "uploadUrl": self._url(artifact, name), "uploadHeaders": [],
            "storagePath": name, "artifact": {"id": artifact}, "uploadMultipartUrls": None,
        }  # fmt: skip

    def _url(self, artifact: str, name: str) -> str:
        return f"{self.address}/upload/{artifact}/{name}"
