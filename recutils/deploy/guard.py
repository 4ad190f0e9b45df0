"""What stands before every request: size, time, load, keys, rates, headers, one line in the log. It answers nothing.

One plain ASGI layer, since a stack of wrappers costs more time than a list. Log lines hold no text, id or key.
"""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from recutils.deploy.access import ADMIN, READ, WRITE, Granted, Keys, Limiter
from recutils.deploy.telemetry import Telemetry

LOG = logging.getLogger("recutils.service")
OPEN = frozenset({"/health", "/ready", "/", "/page/app.js", "/page/style.css", "/openapi.json"})
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """What a request may cost. in_flight: requests being answered at once; more are refused with 503, not queued."""

    body_bytes: int = 1_000_000
    path_bytes: int = 4_096
    seconds: float = 5.0
    body_seconds: float = 5.0
    in_flight: int = 64
    rate: float = 1000.0
    burst: float = 2000.0


class Refused(Exception):
    """A request that is not answered: status, and what the caller is told."""

    def __init__(self, status: int, code: str, message: str, cure: str, retry: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.cure, self.retry = status, code, message, cure, retry

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the refusal."""
        told = {} if self.retry is None else {"retry-after": str(max(1, round(self.retry)))}
        return told | ({"www-authenticate": "Bearer"} if self.status == 401 else {})

    def body(self) -> bytes:
        """The form of every error."""
        return json.dumps({"error": {"code": self.code, "message": self.message, "cure": self.cure}}).encode()


class Guard:
    """Wraps an ASGI app. keys: None for a service that was told to be open to everybody."""

    def __init__(self, app: App, *, keys: Keys | None, limits: Limits, telemetry: Telemetry) -> None:
        self.app, self.keys, self.limits, self.telemetry = app, keys, limits, telemetry
        self.limiter = Limiter(limits.rate, limits.burst)
        self.in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong becomes an answer in the form of errors."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, request_id=uuid.uuid4().hex)
        started = time.perf_counter()
        self.in_flight += 1
        self.telemetry.in_flight.set(self.in_flight)
        try:
            await self._guarded(scope, receive, answer)
        except Refused as refused:
            await answer.refuse(refused)
        except TimeoutError:
            await answer.refuse(Refused(504, "too_slow", "the answer took too long", "ask for less, or later", 1.0))
        except Exception:
            LOG.exception("request %s failed", answer.request_id)
            await answer.refuse(Refused(500, "fault", "the service failed", f"report {answer.request_id}"))
        finally:
            self.in_flight -= 1
            self._count(scope, answer, time.perf_counter() - started)

    async def _guarded(self, scope: Message, receive: Receive, answer: "_Answer") -> None:
        caller = self._admitted(scope)
        scope.setdefault("state", {})["caller"] = caller
        body = await asyncio.wait_for(_read(scope, receive, self.limits.body_bytes), self.limits.body_seconds)
        async with asyncio.timeout(self.limits.seconds):
            await self.app(scope, _given(body, receive), answer)

    def _admitted(self, scope: Message) -> Granted | None:
        """Who asks. Raises Refused for too much load, a missing or weak key, too many requests."""
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > self.limits.path_bytes:
            raise Refused(414, "too_long", "the address is too long", "use the endpoints that take a body")
        if scope["path"] in OPEN:
            return None
        if self.in_flight > self.limits.in_flight:
            self.telemetry.shed.labels("load").inc()
            raise Refused(503, "busy", "too many requests at once", "try again a little later", 1.0)
        caller = self._known(scope)
        name = caller.name if caller else (scope.get("client") or ["?"])[0]
        if wait := self.limiter.wait(name):
            self.telemetry.shed.labels("rate").inc()
            raise Refused(429, "too_often", "too many requests from this caller", "wait as Retry-After says", wait)
        return caller

    def _known(self, scope: Message) -> Granted | None:
        if self.keys is None:
            return None
        headers = dict(scope["headers"])
        given = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        caller = self.keys.grant(given.decode("latin-1"))
        if caller is None:
            self.telemetry.shed.labels("key").inc()
            raise Refused(401, "no_key", "no valid key came with the request", "send the header X-API-Key")
        if needed(scope["path"]) not in caller.scopes:
            raise Refused(403, "not_allowed", "this key may not do that", f"use a key with {needed(scope['path'])!r}")
        return caller

    def _count(self, scope: Message, answer: "_Answer", seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # the pattern, never what a caller wrote
        self.telemetry.in_flight.set(self.in_flight)
        self.telemetry.seconds.labels(route).observe(seconds)
        self.telemetry.answers.labels(route, answer.status).inc()
        told = {"request": answer.request_id, "route": route, "status": answer.status, "ms": round(1000 * seconds, 2)}
        LOG.info(json.dumps(told))


def needed(path: str) -> str:
    """The scope that a path asks for."""
    if path.startswith("/admin") or path == "/metrics":
        return ADMIN
    return WRITE if path.startswith("/v1/feedback") else READ


class _Answer:
    """Sends what the app sends, with our headers, and remembers whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self.request_id, self.status, self.begun = send, request_id, 0, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self.status = True, message["status"]
            more = HEADERS | {"x-request-id": self.request_id}
            message["headers"] = [
                *message["headers"],
                *((name.encode(), value.encode()) for name, value in more.items()),
            ]
        await self._send(message)

    async def refuse(self, refused: Refused) -> None:
        """Say no, unless an answer has begun already."""
        if self.begun:
            return
        body = refused.body()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refused.status, "headers": encoded})
        await self._send({"type": "http.response.body", "body": body})


async def _read(scope: Message, receive: Receive, most: int) -> bytes:
    """The whole body. Raises Refused when it is, or says it is, larger than `most`."""
    told = dict(scope["headers"]).get(b"content-length", b"0")
    if not told.isdigit() or int(told) > most:
        raise Refused(413, "too_large", f"a body may have {most:,} bytes", "send less at once")
    content = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(499, "gone", "the caller went away", "none")
        content += message.get("body", b"")
        if len(content) > most:
            raise Refused(413, "too_large", f"a body may have {most:,} bytes", "send less at once")
        if not message.get("more_body"):
            return bytes(content)


def _given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body which was read already, then what follows."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
