"""Runs the commands of a document in bash. `bindplug` runs in the test's own process, which has the
models loaded already; `bindplug serve` stays for the commands that follow."""

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

SECONDS = 120  # for one block
CALLER = """#!{python} -ES
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.connect({address!r})
    stdin = sys.stdin.read() if "-" in sys.argv else ""
    env = {{k: v for k, v in os.environ.items() if k.startswith("BINDPLUG_")}}
    call = [os.path.basename(sys.argv[0]), sys.argv[1:], os.getcwd(), env, stdin]
    s.sendall(json.dumps(call).encode() + b"\\n")
    code, out, err = json.loads(s.makefile().read())
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
CURL = """#!{bash}
exec {curl} -fsS "${{@//127.0.0.1:8000/127.0.0.1:$(cat {port})}}"
"""


class Shell:
    """Runs scripts in a folder.

    Args:
        folder: the working folder.
        extras: names that pip may be asked for in brackets.
    """

    def __init__(self, folder: Path, extras: set[str]):
        self.folder, self.extras = folder, extras
        self.bin = Path(tempfile.mkdtemp(prefix="docs-"))  # short: a socket's path is limited
        self.port = self.bin / "port"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.bin / "s"))
        self.listener.listen()
        self.listener.settimeout(0.02)
        caller = CALLER.format(python=sys.executable, address=str(self.bin / "s"))
        curl = CURL.format(bash=shutil.which("bash"), curl=shutil.which("curl"), port=self.port)
        for name, code in {"bindplug": caller, "pip": caller, "curl": curl}.items():
            (self.bin / name).write_text(code)
            (self.bin / name).chmod(0o755)
        self.server = None

    def run(self, script: str) -> str:
        """What the script prints. AssertionError where it ends with an error."""
        state = self.bin / "env"
        keep = f"export -p | grep '^declare -x BINDPLUG_' > {state} || true"  # for the next script
        script = f"set -euo pipefail\n{script}\n{keep}\n"
        env = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        before = state.read_text() if state.exists() else ""
        with (self.bin / "out").open("w+b") as out:
            process = subprocess.Popen(
                ["bash", "-c", before + script], cwd=self.folder, env=env, stdout=out,
                stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            self._answer_until_ended(process)
            out.seek(0)
            printed = out.read().decode("utf-8", "replace")
        if process.returncode:
            raise AssertionError(f"exit code {process.returncode}\n{printed}")
        return printed

    def _answer_until_ended(self, process) -> None:
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            while process.poll() is None:
                try:
                    connection = self.listener.accept()[0]
                except TimeoutError:
                    continue
                with connection, connection.makefile("rw") as file:
                    json.dump(self._call(*json.loads(file.readline())), file)
        finally:
            timer.cancel()
            process.kill()
            process.wait()

    def _call(self, program: str, args: list[str], folder: str, env: dict, stdin: str) -> tuple:
        """Exit code, stdout and stderr."""
        if program == "pip":
            return self._pip(args)
        before = os.getcwd()
        os.chdir(folder)
        try:
            if args[:1] == ["serve"]:
                return self._serve(args[1:], env)
            from bindplug.cli import main

            result = CliRunner().invoke(main, args, input=stdin, env=env, prog_name="bindplug")
            return result.exit_code, result.stdout, result.stderr
        finally:
            os.chdir(before)

    def _pip(self, args: list[str]) -> tuple:
        """Nothing is installed; what is asked for must be possible."""
        assert args[0] == "install", args
        for arg in args[1:]:
            if not arg.startswith("-"):
                wanted = Requirement(arg.replace(".", "bindplug", 1) if arg[0] == "." else arg)
                unknown = wanted.extras - self.extras if wanted.name == "bindplug" else ()
                if unknown:
                    return 1, "", f"pip install {arg}: no extra {unknown}\n"
        return 0, "", ""

    def _serve(self, args: list[str], env: dict) -> tuple:
        """Starts a server on a free port, in place of the last one."""
        import uvicorn

        from bindplug.cli import serve

        self.stop()
        said: queue.Queue = queue.Queue()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            context = serve.serve.make_context("serve", [*args, "--port", "0"])
            patch.setattr(serve, "say", said.put)
            servers: list = []
            startup = uvicorn.Server.startup

            async def recording(server, sockets=None):
                servers.append(server)
                await startup(server, sockets)

            patch.setattr(uvicorn.Server, "startup", recording)
            thread = threading.Thread(
                target=lambda: context.invoke(serve.serve.callback, **context.params), daemon=True
            )
            thread.start()
            while "Ctrl-C" not in (line := said.get(timeout=SECONDS)):
                pass
        self.server = servers[0], thread
        self.port.write_text(line.split()[0].rpartition(":")[2])
        return 0, "", ""

    def close(self) -> None:
        self.stop()
        self.listener.close()
        shutil.rmtree(self.bin)

    def stop(self) -> None:
        """End the server, if one is running."""
        if self.server:
            server, thread = self.server
            server.should_exit = True
            thread.join(timeout=20)
            self.server = None
