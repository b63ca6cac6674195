"""Kill commands at random moments: nothing half written, a restart as undisturbed.

    python benchmarks/kills.py --kills 1000

Each round starts a command in a new folder, waits until it has begun to work (its first file is
there), sends SIGKILL or SIGTERM a random moment later, checks that every file under its own name
is whole, runs the same command again and compares all files and the output, byte for byte, with an
undisturbed run. Commands are forked from this process, which has imported all that they need, so no
kill falls into an import; a signal that comes after the command's end is not counted, and another
is sent.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

COMMANDS = {
    "embed": ["embed", "--image", "../in", "-o", "x.safetensors", "--batch-size", "1"],
    "detect": [
        *("detect", "--text", "a dog", "../in", "-o", "out", "--resume"),
        *("--vocabulary", "../words"),
    ],
    "search": ["search", "../in", "--text", "a dog"],
    "generate": [
        *("generate", "--text", "a dog", "-o", "out", "--overwrite"),
        *("--num-images", "4", "--candidates", "1", "--steps", "2"),
    ],
    "pull": ["models", "pull", "killed"],
}
IMAGES = {"embed": 40, "detect": 3, "search": 40}  # a part of such a job is 32
STATE = (".lock", ".part", ".etag")  # of a download that goes on, not results
BODY = random.Random(0).randbytes(4 << 20)


class Server(BaseHTTPRequestHandler):
    """Sends BODY, or the rest of it that Range asks for, in slow chunks of 64 KiB."""

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.send_header("ETag", '"1"')
        self.end_headers()
        for i in range(start, len(BODY), 1 << 16):
            self.wfile.write(BODY[i : i + (1 << 16)])
            time.sleep(0.002)

    def log_message(self, *args):
        pass


@contextmanager
def download_server() -> Iterator[None]:
    """Let the catalogue hold `killed` alone, of no published size or hash, on a local server."""
    from bindplug.models import registry
    from bindplug.storage.checkpoints import Checkpoint

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.handle_error = lambda *args: None  # clients that are killed hang up
    url = f"http://127.0.0.1:{server.server_port}/w.bin"
    registry.catalogue = lambda: {"killed": Checkpoint("killed", url, "w.bin", None, "", "", "")}
    parent = os.getpid()
    server.service_actions = lambda: os.getppid() == parent or os._exit(0)  # no orphan, ever
    child = os.fork()
    if not child:
        server.serve_forever()
    server.server_close()
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def start(name: str, place: Path) -> int:
    """The process id of a command at work in a folder; its output goes to `stdout` there."""
    place.mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    os.chdir(place)
    os.environ["BINDPLUG_HOME"] = str(place / "home")
    os.dup2(os.open(place / "stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(os.open(place.parent / "stderr", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    try:
        from bindplug.cli import main

        device = [] if name == "pull" else ["--device", "cpu"]
        main([*COMMANDS[name], *device], standalone_mode=False)
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        code = 70
    (place.parent / "modules").write_text("\n".join(sys.modules))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_of(child: int, wait: bool = True) -> int | None:
    """Exit code of a process, negative for a signal; None while it runs and `wait` is False."""
    pid, status = os.waitpid(child, 0 if wait else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def has_begun(place: Path) -> bool:
    return any(p.is_file() and p.name != "stdout" for p in place.rglob("*"))


def results(place: Path, whole: bool = False) -> dict[str, bytes]:
    """Files under their own names, by place, and, of a run that ended (`whole`), its output; JSON,
    images and vectors are opened to see that they are not cut."""
    found = {}
    for path in sorted(p for p in place.rglob("*") if p.is_file()):
        if path.name.startswith(".") or path.suffix in STATE:
            continue
        if path.name == "stdout" and not whole:
            continue
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix in (".npy", ".npz"):
            np.load(path)
        elif path.name == "w.bin":
            assert path.read_bytes() == BODY
        found[str(path.relative_to(place))] = path.read_bytes()
    return found


def kill_once(name: str, place: Path, length: float, chance: random.Random) -> bool:
    """Whether the command was still at work when the signal came."""
    child = start(name, place)
    while (code := end_of(child, wait=False)) is None and not has_begun(place):
        time.sleep(0.001)
    if code is None:
        time.sleep(chance.uniform(0, length))
        code = end_of(child, wait=False)
    if code is not None:
        assert code == 0, f"{name}: exit {code}: {(place.parent / 'stderr').read_text()[-500:]}"
        return False
    sent = chance.choice([signal.SIGKILL, signal.SIGTERM])
    os.kill(child, sent)
    code = end_of(child)
    results(place)
    if sent == signal.SIGTERM:
        # -SIGTERM: past the end of the command, where it is handled no more
        said = (place.parent / "stderr").read_text()[-500:]
        assert code in (0, 143, -sent), f"{name}: SIGTERM gives exit {code}: {said}"
        left = [p for p in place.rglob(".*") if p.is_file()]
        assert not left, f"{name}: SIGTERM left {left}"
    return True


def rounds(name: str, kills: int, chance: random.Random, root: Path) -> int:
    """Kills until so many came during the work; all signals sent."""
    place = root / "place"
    code = end_of(start(name, place))
    assert code == 0, f"{name}: exit {code}: {(root / 'stderr').read_text()[-500:]}"
    for module in (root / "modules").read_text().split():
        with suppress(Exception):  # of names that are no modules
            import_module(module)
    shutil.rmtree(place)
    child, began = start(name, place), None
    while (code := end_of(child, wait=False)) is None:
        if began is None and has_begun(place):
            began = time.monotonic()
        time.sleep(0.001)
    assert code == 0, f"{name}: exit {code}: {(root / 'stderr').read_text()[-500:]}"
    length, want = time.monotonic() - (began or time.monotonic()), results(place, whole=True)
    count = sent = 0
    while count < kills:
        shutil.rmtree(place)
        at_work = kill_once(name, place, length, chance)
        count, sent = count + at_work, sent + 1
        assert sent < 10 * kills + 10, f"{name}: is over too soon to be killed"
        code = end_of(start(name, place))
        assert code == 0, f"{name}: the restart ends with {code}"
        got = results(place, whole=True)
        differ = [f for f in {*want, *got} if want.get(f) != got.get(f)]
        assert not differ, f"{name}: after a kill {differ} differ"
    return sent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=1000, help="in all, shared by the commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=COMMANDS)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    names = [arguments.only] if arguments.only else list(COMMANDS)
    kills = -(-arguments.kills // len(names))
    with download_server():
        for name in names:
            with tempfile.TemporaryDirectory() as root:
                (Path(root) / "in").mkdir()
                (Path(root) / "words").write_text("\n".join(f"word {i}" for i in range(70)))
                for i in range(IMAGES.get(name, 0)):
                    image = Image.new("RGB", (96, 64), (3 * i, 90, 200))
                    image.save(Path(root, "in", f"{i:03d}.png"))
                sent = rounds(name, kills, chance, Path(root))
            print(f"{name}: {sent} runs, {kills} killed at work; all results whole", flush=True)


if __name__ == "__main__":
    main()
