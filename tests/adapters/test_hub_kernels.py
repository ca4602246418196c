"""Training fetches no kernel from a hub, though the package that would do so is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE = "def get_kernel(*names, **options):\n    raise SystemExit('a kernel was fetched')\n"
AVX512BF16 = "avx512_bf16" in (Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else "")


@pytest.mark.skipif(not AVX512BF16, reason="bitsandbytes asks the hub only on a CPU with AVX512-BF16")
def test_bitsandbytes_is_imported_as_if_kernels_were_absent(tmp_path):
    (tmp_path / "kernels.py").write_text(FAKE)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    def python(code):
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)

    assert "a kernel was fetched" in python("import bitsandbytes").stderr  # what it does by itself
    told = python(
        "from cptlab.training.build import silence_libraries\n"
        "silence_libraries()\n"
        "import sys, bitsandbytes, kernels\n"  # ours is out of the way again
        "print(kernels.__file__, 'peft' in sys.modules)\n"
        "from cptlab.adapters.layers.nf4 import NF4Linear"
    )
    assert told.returncode == 0, told.stderr
    assert str(tmp_path) in told.stdout
    assert told.stderr == ""
