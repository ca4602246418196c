"""A disk that is nearly full, a real one: the plan warns, the sweep stops before it, the same command goes on later."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cptlab.training.checkpoint.disk import MARGIN

ROOT = Path(__file__).parents[2]
MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


def can_mount(folder):
    """Whether a namespace of our own may mount a file system in memory."""
    script = f"mount -t tmpfs -o size=1m tmpfs {folder}"
    return shutil.which("unshare") and not subprocess.run([*MOUNT, script], capture_output=True).returncode


@pytest.mark.slow
def test_a_sweep_stops_before_a_disk_is_full_and_goes_on_when_it_is_not(study, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if not can_mount(disk):
        pytest.skip("no file system may be mounted here")
    grid = tmp_path / "grid.yaml"
    grid.write_text("seeds: [0, 1, 2]\n")
    # 128k parameters: 0.5 MB of weights stay, and up to 1.5 MB x (keep + 1) of checkpoints while a point runs.
    wide = ["model.width=128", "model.feed_forward=160", "checkpoint.keep=1", f"runs={disk}/runs"]
    command = " ".join(f"'{each}'" for each in [sys.executable, "-m", "cptlab"])
    arguments = " ".join(f"'{each}'" for each in [grid, *study, *wide])
    sweep = f"{command} sweep {arguments} --workers 1"
    script = f"""
mount -t tmpfs -o size={MARGIN + 4_800_000} tmpfs {disk}
{command} plan {arguments} > {tmp_path}/plan
{sweep} > {tmp_path}/first 2>&1 || echo $? > {tmp_path}/code
cp -r {disk}/runs {tmp_path}/then
mount -o remount,size=200m {disk}
{sweep} > {tmp_path}/second 2>&1
cp -r {disk}/runs {tmp_path}/runs
"""
    ran = subprocess.run([*MOUNT, script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    first, second = ((tmp_path / name).read_text() for name in ("first", "second"))
    assert ran.returncode == 0, ran.stderr + first + second
    assert "warning: " in (tmp_path / "plan").read_text()
    assert "the sweep would stop on the way" in (tmp_path / "plan").read_text()
    ends = [json.loads(file.read_text())["status"] for file in (tmp_path / "then").glob("*/done.json")]
    assert 0 < len(ends) < 3, first
    assert set(ends) == {"finished"}
    assert len(list((tmp_path / "then").glob("*/run.json"))) == len(ends)  # nothing was begun that could not end
    assert (tmp_path / "code").read_text().strip() == "2"
    assert first.splitlines()[-1].startswith("error: ")
    assert "nothing more was started: free some, then give the same command" in first.splitlines()[-1]
    assert first.count("nothing more was started") == 1
    assert "Traceback" not in first
    ends = [json.loads(file.read_text())["status"] for file in (tmp_path / "runs").glob("*/done.json")]
    assert ends == ["finished"] * 3
    assert f"{len(list((tmp_path / 'then').glob('*/done.json')))} of 3 points are finished already" in second
