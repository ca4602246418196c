import json
import random
from pathlib import Path

import pytest

WORDS = (Path(__file__).parent / "words.txt").read_text().split()


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(20, 60))) + "."


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """400 different short documents: enough that every split gets some."""
    rng = random.Random(0)
    return [f"{number}: {sentence(rng)}" for number in range(400)]


@pytest.fixture
def jsonl(tmp_path, texts):
    """Write documents as JSON lines; returns the path."""

    def write(name: str = "a.jsonl", documents: list[str] | None = None) -> str:
        path = tmp_path / name
        lines = [json.dumps({"text": text}) for text in (texts if documents is None else documents)]
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return write
