"""The load generator's own process: asks at set times over kept connections and notes when. No figures (load.py).

A job comes as JSON on stdin, the noted times go as JSON to stdout. The client reads just as much of HTTP/1.1 as the
service speaks (a status, a Content-Length), since a full parser would take the processor from the service beside it.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

NO_ANSWER = 0  # the status of a request that was never answered
READY = 16  # connections that are open before the first request
LEAD = 0.05  # seconds from "all is prepared" to the first scheduled moment


class Connection(asyncio.Protocol):
    """One kept connection with one request under way at most."""

    def __init__(self) -> None:
        self._got, self._answer, self.open = bytearray(), None, False

    def connection_made(self, transport: Any) -> None:
        """Ready to ask."""
        self.transport, self.open = transport, True

    def connection_lost(self, _: Exception | None) -> None:
        """Whoever waits has no answer."""
        self.open = False
        self._end(NO_ANSWER)

    async def ask(self, request: bytes) -> int:
        """Send a whole request; the status of its answer after the last byte of it."""
        self._got.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Collect until head and body are whole."""
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._got[:end]).lower()
        if len(self._got) >= end + 4 + _length(head):
            if b"\r\nconnection: close" in head:
                self.close()
            self._end(int(head[9:12]))

    def close(self) -> None:
        """Ask nothing more."""
        self.open = False
        self.transport.abort()

    def _end(self, status: int) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(status)


def _length(head: bytes) -> int:
    """Bytes of the body; a body of unknown length never ends, and then the request has no answer in time."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else sys.maxsize


@dataclass
class Pool:
    """Connections to one address, at most `most` of them; whoever comes when all are busy waits for one."""

    host: str
    port: int
    most: int
    idle: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing is open yet."""
        self._left = asyncio.Semaphore(self.most)

    async def take(self) -> Connection:
        """An open connection: one that was used before, or a new one. Raises OSError where none can be made."""
        await self._left.acquire()
        while self.idle:
            found = self.idle.pop()
            if found.open:
                return found
        try:
            return await self._new()
        except OSError:
            self._left.release()
            raise

    def give(self, connection: Connection) -> None:
        """Back, for the next one."""
        if connection.open:
            self.idle.append(connection)
        self._left.release()

    async def prepare(self, n: int) -> None:
        """Open n connections beforehand, so that the first requests do not pay for that."""
        with suppress(OSError):
            self.idle += [await self._new() for _ in range(min(n, self.most))]

    async def _new(self) -> Connection:
        _, made = await asyncio.get_running_loop().create_connection(Connection, self.host, self.port)
        return made


@dataclass
class Notes:
    """Seconds since the start for each request: when it was due, was sent and was answered; and the answer's status."""

    scheduled: list[float]
    sent: list[float | None]
    ended: list[float | None]
    status: list[int]


async def drive(job: dict[str, Any]) -> Notes:
    """Run one job. With `callers` each of them waits for its answer first (closed loop); else nobody waits (open)."""
    due, n = job["due"], len(job["requests"])
    requests = list(_encoded(job))
    at = urlsplit(job["url"])
    pool = Pool(at.hostname or "", at.port or 80, job["callers"] or job["connections"])
    await pool.prepare(job["callers"] or READY)
    notes = Notes(list(due or [0.0] * n), [None] * n, [None] * n, [NO_ANSWER] * n)
    start = asyncio.get_running_loop().time() + LEAD
    run = _closed if job["callers"] else _open
    await run(job, _Asker(pool, requests, notes, start, job["patience"]))
    return notes


@dataclass
class _Asker:
    """Sends request number n now and notes what comes of it."""

    pool: Pool
    requests: Sequence[bytes]
    notes: Notes
    start: float
    patience: float

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self.start

    async def until(self, due: float) -> None:
        wait = due - self.now()
        if wait > 0:
            await asyncio.sleep(wait)

    async def one(self, n: int) -> None:
        left = self.notes.scheduled[n] + self.patience - self.now()
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(max(0.0, left)):
                await self._asked(n, await self.pool.take())

    async def _asked(self, n: int, connection: Connection) -> None:
        try:
            self.notes.sent[n] = self.now()
            status = await connection.ask(self.requests[n])
            if status != NO_ANSWER:
                self.notes.ended[n], self.notes.status[n] = self.now(), status
        except asyncio.CancelledError:  # too late: what comes on this connection now is no answer to anybody
            connection.close()
            raise
        finally:
            self.pool.give(connection)


async def _open(job: dict[str, Any], asker: _Asker) -> None:
    """Send each request when it is due, whatever became of those before."""
    under_way: set[asyncio.Task[None]] = set()
    for n, due in enumerate(job["due"]):
        await asker.until(due)
        task = asyncio.create_task(asker.one(n))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    if under_way:
        await asyncio.wait(under_way)


async def _closed(job: dict[str, Any], asker: _Asker) -> None:
    """So many callers, each of whom asks again only after the answer (and not before the request is due)."""
    numbers, due = count(), job["due"]

    async def caller() -> None:
        while (n := next(numbers)) < len(asker.requests):
            if due:
                await asker.until(due[n])
            asker.notes.scheduled[n] = max(asker.notes.scheduled[n], 0.0) if due else asker.now()
            await asker.one(n)

    await asyncio.gather(*[caller() for _ in range(job["callers"])])


def _encoded(job: dict[str, Any]) -> Iterator[bytes]:
    """Each request as the bytes that are sent."""
    at = urlsplit(job["url"])
    more = "".join(f"{name}: {value}\r\n" for name, value in job["headers"].items())
    for method, path, body in job["requests"]:
        content = b"" if body is None else json.dumps(body).encode()
        kind = f"content-type: application/json\r\ncontent-length: {len(content)}\r\n" if content else ""
        yield f"{method} {path} HTTP/1.1\r\nhost: {at.netloc}\r\n{kind}{more}\r\n".encode("latin-1") + content


def main() -> None:
    """Job in, notes out, with the seconds of processor time that the generator itself took."""
    job = json.load(sys.stdin)
    before = time.process_time()
    notes = asyncio.run(drive(job))
    spent = time.process_time() - before
    told = vars(notes) | {"own_cpu": spent}
    json.dump(told, sys.stdout, allow_nan=False, default=lambda value: None if math.isnan(value) else value)


if __name__ == "__main__":
    main()
