"""How commands end: one line, the exit code of what went wrong, nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import click
import numpy as np
import pytest

from bindplug.cli import main
from bindplug.cli.output import Failures, clear_errors, put_json
from bindplug.errors import (
    BindplugError,
    BindplugWarning,
    FileExists,
    InputsFailed,
    MissingDependency,
    SpaceMismatch,
)
from bindplug.storage.json_text import to_json


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BindplugError("x: is bad"), 2, "Error: x: is bad"),
        (FileExists("x: exists"), 2, "Error: x: exists; add --overwrite or write elsewhere"),
        (MissingDependency("no x"), 3, "Error: no x"),
        (SpaceMismatch("a and b"), 4, "Error: a and b"),
        (InputsFailed("1 input failed:"), 5, "Error: 1 input failed:"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (OSError(28, "No space left on device"), 2, "Error: output: No space left on device"),
        (OSError("a page is corrupt"), 2, "Error: output: a page is corrupt"),
        (
            ZeroDivisionError("by zero\nsecond line"),
            1,
            "Error: unexpected ZeroDivisionError: by zero (BINDPLUG_DEBUG=1 shows where)",
        ),
    ],
)
def test_every_error_is_one_line_with_its_code(error, code, words, capsys, monkeypatch):
    @clear_errors
    def command():
        raise error

    with pytest.raises(SystemExit) as end:
        command()
    assert end.value.code == code and capsys.readouterr().err == words + "\n"
    monkeypatch.setenv("BINDPLUG_DEBUG", "1")
    with pytest.raises(type(error)):
        command()


def test_exit_codes_are_in_the_help(run):
    text = run("--help").output
    for code in ("0", "1", "2", "3", "4", "5", "130"):
        assert f"\n  {code} " in text


@pytest.mark.parametrize(
    ("errors", "keep_going", "code"),
    [
        ([BindplugError("a")], False, 2),
        ([MissingDependency("a")], False, 3),
        ([SpaceMismatch("a")], False, 4),
        ([SpaceMismatch("a"), BindplugError("b")], False, 4),
        (["a message"], False, 2),
        ([BindplugError("a")], True, 5),
        ([SpaceMismatch("a"), BindplugError("b")], True, 5),
    ],
)
def test_failures_end_with_the_code_of_the_first(errors, keep_going, code, capsys):
    def work(error):
        raise error

    @clear_errors
    def command():
        failures = Failures(keep_going)
        for error in errors:
            if isinstance(error, str):
                failures.add(error)
            else:
                assert failures.guard(work, error) is None
        assert failures.guard(int, "3") == 3
        failures.finish()

    with pytest.raises(SystemExit) as end:
        command()
    told = capsys.readouterr().err.splitlines()
    assert end.value.code == code
    assert told[: len(errors)] == [f"Error: {error}" for error in errors]
    assert len(told) == len(errors) * (1 + keep_going) + keep_going


def test_a_prompt_that_needs_what_is_missing(run, media, monkeypatch):
    def missing(*_, **__):
        raise MissingDependency("no decoder; install one")

    monkeypatch.setattr("bindplug.Embedder.embed", missing)
    for command in (
        ("embed", "--text", "a"),
        ("detect", "--text", "a", media / "farm.png", "--no-overlay"),
        ("generate", "--text", "a", "-o", "b"),
    ):
        result = run(*command)
        assert result.exit_code == 3 and "Error: no decoder; install one" in result.stderr


def test_usage_errors_are_one_line(run):
    result = run("detect", "--top-k", "many")
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1
    assert "'many'" in result.stderr and "detect --help" in result.stderr


def test_warnings_of_others_are_silent_and_afterwards_as_before(capsys):
    @clear_errors
    def command():
        warnings.warn("chatter", stacklevel=1)
        warnings.warn("x.wav: is silent", BindplugWarning, stacklevel=1)

    before = list(warnings.filters)
    command()
    assert capsys.readouterr().err == "Warning: x.wav: is silent\n"
    assert warnings.filters == before


def test_what_the_terminal_cannot_encode_is_printed(tmp_path, media):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes((media / "farm.png").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "bindplug", "classify", "--labels", "a,b", name, "absent.png"],
        cwd=tmp_path,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    assert done.returncode == 2 and done.stdout.startswith(b"caf\\udce9.png  ")
    assert done.stderr.splitlines() == [b"Error: absent.png: no such file"]


def test_json_has_no_nan(tmp_path):
    data = {"a": [float("nan"), 1.5, (float("inf"), "NaN")], "b": {"c": np.nan}}
    assert json.loads(to_json(data)) == {"a": [None, 1.5, [None, "NaN"]], "b": {"c": None}}
    put_json(str(tmp_path / "x.json"), data, False)
    assert "NaN" not in (tmp_path / "x.json").read_text().replace('"NaN"', "")
    with pytest.raises(FileExists):
        put_json(str(tmp_path / "x.json"), data, False)


def test_json_into_a_pipe(run, media, tmp_path):
    pipe = tmp_path / "pipe"
    for command in (
        ("detect", "--text", "a dog", media / "farm.png", "--no-overlay", "--json", pipe),
        ("classify", "--labels", "a,b", media / "farm.png", "--json", pipe),
    ):
        os.mkfifo(pipe)
        got = []
        reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)  # noqa: B023
        reader.start()
        result = run(*command)
        assert result.exit_code == 0, result.output
        assert pipe.is_fifo()
        reader.join(10)
        assert json.loads(got[0])["schema"] == 1
        pipe.unlink()


def test_terminated_leaves_nothing(tmp_path, media):
    """SIGTERM while results are written: the exit code says so, and no scratch file is left."""
    code = (
        "import time, bindplug.cli.output as output\n"
        "from pathlib import Path\n"
        "from bindplug.storage.atomic import write_file\n"
        "@output.clear_errors\n"
        "def command():\n"
        "    def write(file):\n"
        "        file.write(b'half'); print('writing', flush=True); time.sleep(60)\n"
        "    write_file(Path('x.json'), write)\n"
        "command()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143 and list(tmp_path.iterdir()) == []


def test_sigterm_is_handled_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    clear_errors(lambda: None)()
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_that_a_library_replaces_by_its_own_exception():
    @clear_errors
    def command():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except SystemExit as stop:
            raise ValueError("cannot be loaded") from stop

    with pytest.raises(SystemExit) as stop:
        command()
    assert stop.value.code == 143


def test_two_runs_into_one_folder_wait_for_each_other(tmp_path, media, run):
    """While another process holds the folder, a run waits; then it finds the results there."""
    code = (
        "import time\n"
        "from bindplug.storage.locks import locked\n"
        "with locked('out'):\n"
        "    print('held', flush=True); time.sleep(1.5); open('out/farm.json', 'w').write('mine')\n"
    )
    (tmp_path / "out").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    start = time.monotonic()
    result = run("detect", "--text", "a dog", media / "farm.png", "-o", "out")
    assert time.monotonic() - start > 1 and other.wait(10) == 0
    assert "is in use by another bindplug" in result.stderr
    assert result.exit_code == 2 and "farm.json: exists; add --overwrite" in result.stderr
    assert (tmp_path / "out" / "farm.json").read_text() == "mine"


def test_every_option_is_declared():
    """Prompts and mixtures are click's own options: no command parses the arguments by itself."""
    for name in main.list_commands(None):
        command = main.get_command(None, name)
        assert type(command).parse_args in (click.Command.parse_args, click.Group.parse_args)
