"""Fixtures of record tests: small run folders."""

from collections.abc import Callable

import pytest
from run_records import rows, write_run

from cptlab.records.run import EvalRow, RunFacts


@pytest.fixture
def eval_rows() -> Callable[..., list[EvalRow]]:
    return rows


@pytest.fixture
def make_run(tmp_path) -> Callable[..., RunFacts]:
    """Write runs/<run_id>: base losses 3 (prose) and 4 (code), then at step s 3 + s / 100 and 4 - s / 10."""

    def make(run_id: str, *, steps=(1, 2, 3, 5, 10), share=0.25, **more):
        return write_run(
            tmp_path / "runs", run_id, steps, lambda s: {"prose": 3 + s / 100, "code": 4 - s / 10}, share, **more
        )

    return make
