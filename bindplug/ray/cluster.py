"""The machines that a job runs on: the cluster of RAY_ADDRESS, or this one."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import BindplugError, MissingDependency, first_line
from ..storage.atomic import reason

SPARE = 3  # logical CPUs beside the actors, for Ray's reader, checkpoint filter and writer
STORE = 256 * 2**20  # bytes of blocks that wait in shared memory, on one machine
FOLDER = 36  # bytes of Ray's folder: a socket's path has 107, of which Ray adds up to 71
KNOCK = 5  # seconds that a cluster may take to be reached
PASSED = ("BINDPLUG_OFFLINE", "BINDPLUG_PLUGINS", "HF_HUB_OFFLINE")
QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Pool:
    """Actors, all alike.

    Attributes:
        size: number of actors.
        gpus: of each; 0 or 1.
        device: torch device name within an actor.
    """

    size: int
    gpus: int
    device: str


def need_ray() -> None:
    """Raises MissingDependency: Ray Data is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError as err:
        raise MissingDependency(
            f"Ray Data cannot be used ({first_line(err)}); run: pip install 'bindplug[ray]'"
        ) from err


@contextmanager
def connected(actors: int | None, device: str) -> Iterator[Pool]:
    """Ray, connected to, with the actors that it has room for. What was started for the block is
    stopped after it; a Ray that the caller has initialised is used and left as it is.

    Args:
        actors: how many; None is one a GPU, or without GPUs one a CPU.
        device: of each actor: auto, cpu, cuda or mps.

    Raises BindplugError: no such cluster, or not enough CPUs or GPUs."""
    import ray

    if actors is not None and actors < 1:
        raise BindplugError(f"actors {actors}; give 1 or more")
    if device not in ("auto", "cpu", "cuda", "mps"):
        raise BindplugError(f"device {device!r}; for actors choose auto, cpu, cuda or mps")
    address = os.environ.get("RAY_ADDRESS")
    own = not ray.is_initialized()
    if own:
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # `job` says it in one line
    try:
        if own and address:
            _connect(address)
        elif own:
            _start(actors, device)
        yield _pool(actors, device)
    finally:
        if own:
            ray.shutdown()


def _connect(address: str) -> None:
    """Join a cluster; its processes get the environment variables of PASSED."""
    import ray

    kept = {name: os.environ[name] for name in PASSED if name in os.environ}
    try:
        _knock(address)
        ray.init(
            address, runtime_env={"env_vars": kept, **_same_package()}, log_to_driver=False,
            logging_level=logging.ERROR,
        )  # fmt: skip
    except Exception as err:  # ConnectionError, RuntimeError, gRPC's own
        raise BindplugError(
            f"RAY_ADDRESS {address}: no Ray cluster answers ({reason(err)}); start one with `ray "
            "start --head`, or unset RAY_ADDRESS; if it needs a token, set RAY_AUTH_MODE=token"
        ) from err


def _knock(address: str) -> None:
    """OSError where nothing listens at host:port, which Ray takes minutes to say; other addresses
    ("auto", ray://...) pass."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), KNOCK).close()


def _start(actors: int | None, device: str) -> None:
    """A Ray of this machine alone."""
    import ray

    given = os.environ.get("RAY_TMPDIR", "")
    if len(os.fsencode(given)) > FOLDER:
        raise BindplugError(
            f"RAY_TMPDIR {given}: is too long for Ray's sockets; give a path of {FOLDER} bytes "
            "or less"
        )
    place = os.environ.get("TMPDIR", "")
    is_long = not given and len(os.fsencode(place)) > FOLDER
    runtime = _same_package() | ({"env_vars": {"TMPDIR": place}} if is_long else {})
    cpus = max(_cpus(), actors or 1)
    before = {name: os.environ.get(name) for name in (*QUIET, "TMPDIR")}
    os.environ.update(QUIET)
    if is_long:  # Ray then takes the system's own, and its processes get theirs back
        del os.environ["TMPDIR"]
    try:
        ray.init(
            "local", num_cpus=cpus + SPARE, num_gpus=0 if device in ("cpu", "mps") else None,
            include_dashboard=False, object_store_memory=STORE, log_to_driver=False,
            logging_level=logging.ERROR, runtime_env=runtime,
        )  # fmt: skip
    except Exception as err:
        raise BindplugError(f"Ray does not start on this machine: {first_line(err)}") from err
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _same_package() -> dict:
    """Part of a runtime environment: processes import the bindplug that this one does. Ray puts the
    current folder first, where a clone of the repository may lie beside the installed package."""
    place = str(Path(__file__).resolve().parents[2])

    def import_it() -> None:  # is sent by value: a module's function would be looked for first
        import sys

        sys.path.insert(0, place)
        import bindplug  # noqa: F401

        sys.path.remove(place)

    return {"worker_process_setup_hook": import_it}


def _cpus() -> int:
    """CPUs that this process may use."""
    available = getattr(os, "sched_getaffinity", None)
    return len(available(0)) if available else os.cpu_count() or 1


def _pool(actors: int | None, device: str) -> Pool:
    import ray

    there = ray.cluster_resources()
    gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    on_gpu = device == "cuda" or (device == "auto" and gpus > 0)
    size = actors or (gpus if on_gpu else 1 if device == "mps" else max(1, cpus - SPARE))
    if on_gpu and size > gpus:
        raise BindplugError(
            f"{size} actors on {gpus} GPUs; give {f'--actors {gpus}' if gpus else '--device cpu'}"
        )
    if size + SPARE > cpus:  # Ray would wait for ever
        raise BindplugError(
            f"{size} actors need {size + SPARE} logical CPUs ({SPARE} for reading and writing), "
            f"and Ray has {cpus}; give fewer actors, or start Ray with a larger --num-cpus"
        )
    return Pool(size, int(on_gpu), "cuda" if on_gpu else "cpu" if device == "auto" else device)
