"""docs/attention.md: its lines of Python run, its table is whole."""

import re
from pathlib import Path

import torch
from attention_models import positions
from pages import blocks

from cptlab.models.tiny import Tiny
from cptlab.training.attention.choice import ATTENTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "attention.md").read_text("utf8")


def test_the_lines_keep_documents_apart_as_the_page_says():
    (source, _), *others = blocks(PAGE, "python")
    assert not others
    model = Tiny(size="custom", width=16, depth=2, heads=2, feed_forward=32).build(50, 16, 0).eval()
    ids = torch.randint(50, (1, 12), generator=torch.Generator().manual_seed(0))
    names = {"model": model, "ids": ids, "position_ids": positions([5, 7])}
    exec(compile(source, "attention.md", "exec"), names)
    assert str(names["choice"]).startswith(re.search(r'print\(choice\): "(.*?), \.\.\."', source)[1])
    alone = model(input_ids=ids[:, 5:], use_cache=False).logits
    torch.testing.assert_close(names["logits"][:, 5:], alone, rtol=0, atol=1e-5)


def test_the_table_has_every_backend():
    first = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = [name for cell in first for name in re.findall(r"`(\w+)`", cell)]
    whole = [f"flash_attention{name}" if name.startswith("_") else name for name in named]
    assert sorted(whole) == sorted(ATTENTIONS)


def test_the_benchmarks_that_the_page_names_take_their_flags():
    named = re.findall(r"python (benchmarks/\w+\.py)", PAGE)
    assert set(named) == {"benchmarks/attention.py", "benchmarks/parity.py"}
    assert '"--large"' in (ROOT / "benchmarks/attention.py").read_text()
    assert (ROOT / "benchmarks/parity.py").exists()
