"""Damaged uploads end in one line: a short run of benchmarks/fuzz_http.py."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("httpx")
BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")


def test_damaged_uploads(server, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from fuzz_http import cases

    statuses, faults = cases(server.address, 100, start=0, seed=1)
    assert faults == []
    assert statuses[200] > 5 and statuses[400] > 30
    assert server.answering == 0 and server.budget.held == 0
    sys.modules.pop("fuzz_http")
