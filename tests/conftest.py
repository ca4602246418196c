"""Settings of all tests: one thread a process, no time limits on properties, a tiny study to train on."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from hypothesis import settings

settings.register_profile("cptlab", deadline=None, max_examples=50, derandomize="CI" in os.environ)
settings.load_profile("cptlab")


@pytest.fixture(scope="session")
def lawdata() -> Path:
    """Folder of the public loss data (`CPTLAB_LAWDATA`, else ../shared/lawdata)."""
    default = Path(__file__).parents[2] / "shared" / "lawdata"
    folder = Path(os.environ.get("CPTLAB_LAWDATA", default))
    if not folder.is_dir():
        pytest.skip(f"no law data in {folder}; set CPTLAB_LAWDATA")
    return folder


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """Overrides of a tiny study on two made-up corpora: prose in words, a domain in digits."""
    import json
    import random

    folder = tmp_path_factory.mktemp("study")
    rng = random.Random(0)
    words = ["the", "river", "runs", "past", "an", "old", "mill", "where", "nobody", "grinds", "corn", "now"]
    for name, make in {
        "prose": lambda: " ".join(rng.choices(words, k=60)),
        "sums": lambda: " ".join(f"{a}+{b}={a + b};" for a, b in ((rng.randrange(99), rng.randrange(99)) for _ in range(40))),
    }.items():  # fmt: skip
        lines = [json.dumps({"text": make()}) for _ in range(400)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    return [
        "data=files", f"data.corpora={{prose: {folder}/prose.jsonl, sums: {folder}/sums.jsonl}}",
        "data.general=prose", "data.sequence_length=16", "data.vocab_size=300", f"data.cache_dir={folder}/cache",
        "model.size=custom", "model.width=8", "model.depth=1", "model.heads=2", "model.feed_forward=16",
        "model.base_run=", "lr_schedule.warmup_tokens=0", "rows_per_step=4", "tokens=640", "evaluation.rows=8",
        "evaluation.points=3", f"runs={folder}/runs",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def wandb_server(tmp_path_factory):
    """A W&B server on this machine, at which every W&B client of this process points from now on."""
    from wandb_server import WandbServer

    with WandbServer(tmp_path_factory.mktemp("wandb")) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server
        if "wandb" in sys.modules:
            sys.modules["wandb"].teardown()
