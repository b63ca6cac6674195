"""Start-up, and the commands that only report."""

import json
import subprocess
import sys

from bindplug.cli import COMMANDS, main


def test_help_and_version_import_no_torch():
    code = (
        "import sys\n"
        "from bindplug.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
    )
    for flag in ("--help", "--version"):
        out = subprocess.run(
            [sys.executable, "-c", code, flag], capture_output=True, text=True, check=True
        )
        assert "bindplug" in out.stdout.lower() or "Usage" in out.stdout


def test_every_command_has_help(run):
    for name in COMMANDS:
        result = run(name, "--help")
        assert result.exit_code == 0 and "Usage" in result.output


def test_plugins(run):
    rows = json.loads(run("plugins", "--json").stdout)
    assert {"embedder", "detector", "masker", "generator"} == {r["kind"] for r in rows}
    assert all(r["error"] is None for r in rows)
    assert "detic" in run("plugins").stdout


def test_models(run):
    rows = json.loads(run("models", "--json").stdout)
    assert {"small"} <= {r["weights"] for r in rows}
    assert "small" in run("models").stdout


def test_doctor(run):
    result = run("doctor")
    assert "torch" in result.stdout and "device:" in result.stdout
    assert result.exit_code in (0, 1)


def test_doctor_on_extras(run, monkeypatch):
    from email.message import Message

    about = Message()
    for extra in ("works", "absent", "old"):
        about["Provides-Extra"] = extra
    lines = ["click", 'Click>=8; extra == "works"', 'no-such.thing>=2; extra == "absent"',
             'click<1; extra == "old"',
             'numpy; python_version < "3" and extra == "old"']  # fmt: skip
    monkeypatch.setattr("bindplug.cli.doctor.metadata", lambda name: about)
    monkeypatch.setattr("bindplug.cli.doctor.requires", lambda name: lines)
    lines = [line.split() for line in run("doctor").stdout.splitlines() if line[:5] == "extra"]
    works, absent, old = (" ".join(line[1:]) for line in lines)
    assert works == "works ok"
    assert absent == "absent no-such.thing is missing -> pip install 'bindplug[absent]'"
    assert old.startswith("old click 8") and "is not <1 ->" in old and "numpy" not in old


def test_plugin_that_does_not_load(run, monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "no_such_package:PLUGIN", "bindplug.detectors")
    monkeypatch.setattr("bindplug.models.registry.entry_points", lambda group: [broken])
    rows = json.loads(run("plugins", "--json").stdout)
    assert rows[0]["name"] == "broken" and "no_such_package" in rows[0]["error"]
    result = run("doctor")
    assert result.exit_code == 1 and "no_such_package" in result.stdout


def test_no_flag_means_two_things():
    def check(command, name):
        flags = [flag for p in command.params for flag in (*p.opts, *p.secondary_opts)]
        assert len(flags) == len(set(flags)), name
        for sub in getattr(command, "commands", {}).values():
            check(sub, f"{name} {sub.name}")

    for name in COMMANDS:
        check(main.get_command(None, name), name)


def test_models_names_weights_as_options_take_them(run):
    lines = [line.split() for line in run("models").stdout.splitlines()]
    assert ["generator", "unclip", "small"] in [line[:3] for line in lines]
    assert ["detector", "detic", "small"] in [line[:3] for line in lines]
