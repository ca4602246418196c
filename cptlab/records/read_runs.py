"""Run folders on the disk, as train.py writes them -> observations."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from cptlab.records.run_folders import Run, load_run, run_folders
from cptlab.records.run_source import RunSource
from cptlab.variants import variant


@variant("source")
@dataclass(kw_only=True)
class Runs(RunSource):
    """Finished runs under `path`.

    path: folder of run folders, one run folder, or a glob of either; several are separated by commas.
    valid_from: fraction of a run's tokens, in [0, 1), before which its rows are left out.
    """

    path: str = "runs"

    @property
    def place(self) -> str:
        """The folder."""
        return f"source.path={self.path}"

    def runs(self, left_out: Counter[str]) -> Iterator[Run]:
        """The run folders in the order of their names."""
        return map(load_run, run_folders(self.path))
