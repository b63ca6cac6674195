"""What a user without the extra [ray] is told."""

import sys

import pytest
from click.testing import CliRunner

from bindplug.cli import main


@pytest.mark.parametrize("given", [["--text", "a dog"], ["--list", "files.parquet"]])
def test_the_missing_extra_is_named(given, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    command = ["embed", "--engine", "ray", *given, "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 3 and "pip install 'bindplug[ray]'" in result.stderr
    assert list(tmp_path.iterdir()) == []
