"""Commands that are killed leave nothing half written: a short run of benchmarks/kills.py."""

import subprocess
import sys
from pathlib import Path

KILLS = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"


def test_killed_at_random_moments_and_restarted():
    run = subprocess.run(
        [sys.executable, str(KILLS), "--kills", "20"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("4 killed at work; all results whole") == 5
