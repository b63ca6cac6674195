"""Devices and precisions."""

import logging

import pytest
import torch

from bindplug.device import mixed_precision, torch_dtype


@pytest.fixture
def plain_cpu(monkeypatch):
    """A CPU without instructions for half precision."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_a_precision_that_the_cpu_lacks_is_warned_about(plain_cpu, caplog, name):
    with caplog.at_level(logging.WARNING):
        assert torch_dtype(name, "cpu") == getattr(torch, name)
    assert [r.getMessage() for r in caplog.records] == [
        f"this CPU has no instructions for {name}, so float32 is many times faster"
    ]


@pytest.mark.parametrize(("name", "device"), [("float32", "cpu"), ("bfloat16", "cuda")])
def test_others_are_not(plain_cpu, caplog, name, device):
    with caplog.at_level(logging.WARNING):
        torch_dtype(name, device)
    assert not caplog.records


def test_mixed_precision_leaves_such_a_cpu_in_float32(plain_cpu):
    x = torch.randn(4, 4)
    with mixed_precision(torch.device("cpu")):
        assert (x @ x).dtype == torch.float32


def test_mixed_precision_is_bfloat16_where_there_are_instructions(monkeypatch):
    monkeypatch.setattr("bindplug.device.computes_in", lambda name, device: True)
    x = torch.randn(4, 4)
    with mixed_precision(torch.device("cpu")):
        assert (x @ x).dtype == torch.bfloat16
