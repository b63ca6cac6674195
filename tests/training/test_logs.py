"""Logs after a resumption: lines of later steps go, whole or not, and nothing is half written."""

import pytest

from bindplug.training.logs import append_row, cut_rows


def test_rows_are_appended_below_a_header(tmp_path):
    path = tmp_path / "log.csv"
    for step in (1, 2):
        append_row(path, {"step": step, "loss": "0.5"})
    assert path.read_bytes() == b"step,loss\r\n1,0.5\r\n2,0.5\r\n"


@pytest.mark.parametrize(("text", "kept"), [
    ("step,loss\r\n1,0.5\r\n2,0.4\r\n3,0.3\r\n", "step,loss\r\n1,0.5\r\n2,0.4\r\n"),
    ("step,loss\r\n2,0.4\r\n12,0.", "step,loss\r\n2,0.4\r\n"),
    ("step,lo", None),
    ("step,loss\r\n3,0.3\r\n", None),
    ("", None),
])  # fmt: skip
def test_later_rows_go(tmp_path, text, kept):
    path = tmp_path / "log.csv"
    path.write_bytes(text.encode())
    cut_rows(path, 2)
    assert (path.read_bytes().decode() if path.exists() else None) == kept
    append_row(path, {"step": 3, "loss": "0.2"})
    assert path.read_text().splitlines()[0] == "step,loss"


def test_a_log_that_cannot_be_rewritten_stays_whole(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_bytes(b"step,loss\r\n1,0.5\r\n3,0.3\r\n")

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        cut_rows(path, 2)
    assert path.read_bytes().endswith(b"3,0.3\r\n")
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]
