"""A server on a socket, until it is told to stop."""

import asyncio
import socket
from collections.abc import Callable

from ..errors import BindplugError
from ..storage.atomic import reason
from .app import create_app
from .server import Server

BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one.
    Raises BindplugError: the address cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # With its protocol named, asyncio turns Nagle's algorithm off: 40 ms an answer.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        return bound
    except OSError as err:
        raise BindplugError(
            f"cannot listen on {host}:{port} ({reason(err)}); choose another --port or --host"
        ) from err


def run(server: Server, bound: socket.socket, started: Callable[[], None]) -> None:
    """Answer until SIGINT or SIGTERM; then no new requests are taken, and those that are being
    answered are finished. `started` is called when the server answers."""
    import uvicorn

    config = uvicorn.Config(
        create_app(server), log_level="warning", access_log=False, server_header=False,
        timeout_keep_alive=15, backlog=BACKLOG, lifespan="on",
        timeout_graceful_shutdown=int(server.limits.timeout) + 10,
    )  # fmt: skip

    class Told(uvicorn.Server):
        async def startup(self, sockets=None) -> None:
            await super().startup(sockets)
            if self.started:
                started()

    asyncio.run(Told(config).serve(sockets=[bound]))
