"""What a terminal shows of a study: one line a point, whatever the width, the urgent ones first."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from cptlab.records.run import write_whole
from cptlab.sweeps.axes import axes_of
from cptlab.sweeps.index import checked_points
from cptlab.sweeps.show import rich_table
from cptlab.sweeps.status_table import screen
from cptlab.sweeps.study import read_study

ROOT = Path(__file__).parents[2]


def shown(thing, width):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(thing)
    return console.file.getvalue().splitlines()


def test_keys_in_which_points_differ_are_columns_under_their_last_names():
    points = [
        ["model.size=30k", "tokens=1e5", "seed=0"],
        ["+model.size=100k", "tokens=1e5"],
        ["tokens=2e5", "tokens=1e5"],
    ]
    assert axes_of(points) == (["size", "seed"], [["30k", "0"], ["100k", ""], ["", ""]])
    assert axes_of(points[:1]) == ([], [[]])
    alike = [["adapter.rank=2", "vocab.rank=2"], ["adapter.rank=4", "vocab.rank=4"]]
    assert axes_of(alike)[0] == ["adapter.rank", "vocab.rank"]


HEAD = ["state", "run", "size", "domain_share", "step", "what"]
ROWS = [
    ["done", "9d39127c5f78", "300k", "0.1", "", "python_code 2.5682  prose 2.3900"],
    ["failed", "ebdc109eea18", "100k", "0.25", "", "out of memory; " + "try this, " * 40],
    ["running", "9f64f1d9bc51", "100k", "1", "40/160", "host:12"],
]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_a_row_is_a_line_in_any_terminal_and_what_is_cut_says_so(width):
    lines = shown(rich_table(HEAD, ROWS, (4,), width), width)
    assert max(map(len, lines)) <= width
    [failed] = [line for line in lines if "failed" in line]
    assert failed.rstrip().endswith("…")
    assert "100k" in failed
    assert "0.25" in failed
    assert len([line for line in lines if any(row[0] in line for row in ROWS)]) == 3
    assert any("domain_" in line for line in lines)
    assert any(line.split()[:1] == ["state"] and "share" in line for line in lines)  # a long name takes two lines


def test_what_wants_a_look_is_shown_where_not_all_fits():
    rows = [ROWS[0]] * 50 + ROWS[1:]
    lines = shown(screen(HEAD, rows, "the sum", 80, 10), 80)
    assert len(lines) <= 10
    body = " ".join(lines)
    assert body.index("running") < body.index("failed") < body.index("done")
    assert [line.strip() for line in lines[-2:]] == ["and 49 done", "the sum"]
    assert not [line for line in shown(screen(HEAD, ROWS, "the sum", 80, 40), 80) if "and " in line]


def in_a_terminal(command, width, height):
    """What a command writes to a terminal of that size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=environment | {"TERM": "xterm-256color"}
    )
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 1 << 16):
            said += part
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0, said.decode()
    return said.decode()


def test_watching_redraws_a_terminal_and_speaks_plainly_to_a_pipe(study, tmp_path):
    file, more = tmp_path / "grid.yaml", [*study, f"runs={tmp_path}/runs"]
    file.write_text("seeds: [0, 1]\n")
    for point in checked_points(read_study(file, more).points):
        point.path.mkdir(parents=True)
        write_whole(point.path / "done.json", {"status": "finished", "losses": {"prose": 2.5, "sums": 1.5}})
    command = [sys.executable, "-m", "cptlab", "status", str(file), "--watch", *more]
    text = in_a_terminal(command, 60, 12)
    assert "\x1b[32m" in text  # green
    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)) if line]
    assert max(map(len, lines)) <= 60
    rows = {line for line in lines if "prose" in line}
    assert [row.split()[0] for row in rows] == ["done", "done"]  # drawn again in the same place
    assert lines[-1] == f"{tmp_path.name}: 2 points: 2 done"
    piped = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert "\x1b" not in piped.stdout
    assert piped.stdout.splitlines()[-1] == lines[-1]
    assert piped.stdout.splitlines()[0].split() == ["state", "run", "seed", "step", "left", "what"]
