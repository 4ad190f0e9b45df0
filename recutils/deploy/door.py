"""The address that the service listens on, what it says when it answers there, and its end. No routes (routes.py)."""

import errno
import logging
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import uvicorn

from recutils.deploy.connection import Connection
from recutils.tables import Problem

WAITING = 2048  # connections that may wait to be accepted
LAST_PORT = 65535
STOPPED = 130  # the exit code of what Ctrl-C ended, as shells have it


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there, so that nobody else takes the address while the bundle is loaded.

    Who calls meanwhile waits. port 0: any that is free. Raises Problem with the cure where the address cannot be had.
    """
    if not 0 <= port <= LAST_PORT:
        raise Problem(f"--port must be 0 (any that is free) to {LAST_PORT}; got {port}.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=WAITING)
    except OSError as fault:
        if fault.errno == errno.EADDRINUSE:
            other = port + 1 if port < LAST_PORT else port - 1
            raise Problem(f"port {port} is taken. cure: `--port {other}`, or end the other service.") from fault
        told = f"{host}:{port} cannot be listened on ({fault.strerror})."
        raise Problem(f"{told} cure: `--host 127.0.0.1` and a `--port` above 1023.") from fault


def address(door: socket.socket) -> str:
    """What a browser opens."""
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


class Server(uvicorn.Server):
    """uvicorn's server, which calls `answers` once it does."""

    def __init__(self, app: Any, answers: Callable[[], None]) -> None:
        super().__init__(uvicorn.Config(
            app, access_log=False, server_header=False, log_level="warning", timeout_graceful_shutdown=10,
            timeout_keep_alive=15, limit_concurrency=512, h11_max_incomplete_event_size=16384, http=Connection,
            ws="none", proxy_headers=False,  # a caller's word about its own address counts for nothing
        ))  # fmt: skip
        self._answers = answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load what the app loads, take requests, then say so."""
        await super().startup(sockets)
        if self.started:
            self._answers()


def leave() -> NoReturn:
    """End this process now, though a thread is still at work: loading torch takes long and cannot be interrupted.

    Only for after the server has ended: its requests are answered and the feedback log is closed.
    """
    sys.stderr.write("stopped.\n")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(STOPPED)
