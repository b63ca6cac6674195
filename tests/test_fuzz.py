"""Damaged files end in one line: a short run of benchmarks/fuzz.py."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).resolve().parents[1] / "benchmarks" / "fuzz.py"


def test_damaged_files_are_refused_in_one_line():
    run = subprocess.run(
        [sys.executable, str(FUZZ), "--count", "2000"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.endswith("0 faults\n")
