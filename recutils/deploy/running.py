"""The real service as a process on this machine, for as long as a `with` lasts. No load (load.py), no answers.

The process watches a pipe from its starter: when the starter is gone, however it ended, the service stops as well.
"""

import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from recutils.deploy.process import environment, peak_mb
from recutils.deploy.service import LOADING
from recutils.deploy.shelf import Shelf
from recutils.tables import Problem

HOST = "127.0.0.1"
START_SECONDS = 120.0  # after which a service that is not ready has failed
STOP_SECONDS = 15.0  # for what is under way, before the process is killed
QUEUE = 1024  # connections that may wait to be accepted


@dataclass
class Running:
    """A service that answers. Seconds from the start of its process: ready_seconds to the first answer of /ready,
    whole_seconds until texts are met by meaning as well, where the bundle has an encoder.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float
    ready_seconds: float = field(default=0.0)
    whole_seconds: float = field(default=0.0)

    def memory(self) -> float:
        """Resident memory of the service now, MB (10^6 bytes), with its child processes."""
        import psutil

        own = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in (own, *own.children(recursive=True))) / 1e6

    def peak_memory(self) -> float:
        """The most that its process held so far, MB."""
        return peak_mb(self.process.pid)

    def said(self) -> str:
        """What the service wrote to its output and its log so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """Ask it to end (SIGTERM), wait, kill it where it does not; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.process.stdin.close()


def listening() -> socket.socket:
    """A socket on a free port of this machine; several services may share it, as workers of one address."""
    made = socket.socket()
    made.bind((HOST, 0))
    made.listen(QUEUE)
    return made


@contextmanager
def running(
    shelf: Shelf | Path, *, args: Sequence[str] = (), shared: socket.socket | None = None,
    seconds: float = START_SECONDS, whole: bool = True,
) -> Iterator[Running]:  # fmt: skip
    """`python -m recutils serve` from this shelf, ready; ended when the block is left, whatever happens in it.

    args: further arguments of the command, such as ("--keys", path). shared: a socket of `listening()` that the caller
    keeps, for several services on one address. whole: wait for the encoder, too. Raises Problem with the service's own
    words when it does not get ready within `seconds`.
    """
    place = shelf.place if isinstance(shelf, Shelf) else Path(shelf)
    folder = Path(tempfile.mkdtemp(prefix="recutils-serve-"))
    door = shared or listening()
    service = None
    try:
        service = _started(place, args, door, folder / "log.txt")
        if shared is None:
            door.close()  # the service has its own copy: when that dies, callers are told at once
        service.ready_seconds = _until(service, seconds, lambda told: True)
        service.whole_seconds = _until(service, seconds, lambda told: told["texts"] != LOADING) if whole else 0.0
        yield service
    finally:
        if service:
            service.stop()
        if shared is None:
            door.close()
        shutil.rmtree(folder, ignore_errors=True)


def _started(place: Path, args: Sequence[str], door: socket.socket, log: Path) -> Running:
    port, fd = door.getsockname()[1], door.fileno()
    command = [sys.executable, "-m", "recutils.deploy.running", "serve", "--shelf", str(place), "--fd", str(fd)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port), *args], stdin=subprocess.PIPE, stdout=out, stderr=out, pass_fds=[fd],
            env=environment(), start_new_session=True,
        )  # fmt: skip
    return Running(f"http://{HOST}:{port}", process, log, time.perf_counter())


def _until(service: Running, seconds: float, enough: Callable[[dict[str, str]], bool]) -> float:
    """Seconds from its start until /ready says enough. Raises Problem when the process ends, or takes too long."""
    while (spent := time.perf_counter() - service.started) < seconds:
        if (code := service.process.poll()) is not None:
            raise Problem(f"the service ended with code {code} before it was ready: {service.said()[-1500:].strip()}")
        with suppress(HTTPError, OSError), urlopen(f"{service.url}/ready", timeout=1.0) as answer:
            if enough(json.loads(answer.read())):
                return time.perf_counter() - service.started
        time.sleep(0.01)
    raise Problem(f"the service was not ready after {spent:.0f} s: {service.said()[-1500:].strip()}")


def _end_with_starter() -> None:
    """Stop this process when its stdin closes: then nobody is left who could stop it."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_starter, daemon=True).start()
    runpy.run_module("recutils", run_name="__main__")
