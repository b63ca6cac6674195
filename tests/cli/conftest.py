import pytest
from click.testing import CliRunner

from bindplug.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Call the command line in an empty folder: run("detect", ...) gives click's Result."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        return CliRunner().invoke(main, [str(a) for a in args])

    return call


@pytest.fixture
def refused(run, tmp_path):
    """Call it on bad input: its exit code, one clear line with these words, nothing left."""

    def call(*args, words, lines=1, code=2):
        def there():
            return sorted(p.name for p in tmp_path.rglob("*") if p.name != "bindplug-out")

        before = there()
        result = run(*args)
        assert result.exit_code == code, result.output
        talk = [line for line in result.stderr.splitlines() if line.startswith("Error:")]
        assert len(talk) == lines and words in talk[0], result.output
        assert "Traceback" not in result.output
        assert there() == before
        return result

    return call
