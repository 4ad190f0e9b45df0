"""What stands before every request: size, time, load, keys, rates, headers, one line in the log. It answers nothing.

One plain ASGI layer, since a stack of wrappers costs more time than a list. Log lines hold no text, id or key. What
happens before there is a request (half a header, a connection left open) is connection.py's. docs/security.md tells it
all, with the tests that hold it.
"""

import asyncio
import json
import logging
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from recutils.deploy.access import ADMIN, READ, WRITE, Granted, KeyFile, Keys, Limiter
from recutils.deploy.telemetry import Telemetry

LOG = logging.getLogger("recutils.service")
OPEN = frozenset({"/health", "/ready", "/", "/page/app.js", "/page/style.css", "/openapi.json"})
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Limits:
    """What a request may cost.

    in_flight: requests being answered at once; more are refused with 503, not queued. rate, burst: a caller's requests
    a second, and at once; a batch of n counts as n. hosts: the names by which a browser may call an open service, so
    that no foreign page reads it under a name of its own (DNS rebinding); empty takes any.
    """

    body_bytes: int = 1_000_000
    path_bytes: int = 4_096
    seconds: float = 5.0
    body_seconds: float = 5.0
    in_flight: int = 64
    rate: float = 1000.0
    burst: float = 2000.0
    hosts: frozenset[str] = frozenset()


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

    def __init__(self, app: App, *, keys: Keys | KeyFile | None, limits: Limits, telemetry: Telemetry) -> None:
        self.app, self.keys, self.limits, self.telemetry = app, keys, limits, telemetry
        self.limiter = Limiter(limits.rate, limits.burst)
        self.in_flight = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong becomes an answer in the form of errors."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks by web socket, so nobody checks a key there
            await send({"type": "websocket.close", "code": 1008})
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
        except Exception as fault:  # noqa: BLE001 - whatever it is, the caller gets an answer and the log its place
            LOG.error("request %s failed: %s", answer.request_id, _where(fault))
            await answer.refuse(Refused(500, "fault", "the service failed", f"report {answer.request_id}"))
        finally:
            self.in_flight -= 1
            self._count(scope, answer, time.perf_counter() - started)

    async def _guarded(self, scope: Message, receive: Receive, answer: "_Answer") -> None:
        caller = self._admitted(scope)
        scope.setdefault("state", {}).update(
            caller=caller, charge=lambda cost: self._charge(_payer(scope, caller), cost)
        )
        body = b"" if scope["path"] in OPEN else await self._body(scope, receive)
        async with asyncio.timeout(self.limits.seconds):
            await self.app(scope, _given(body, receive), answer)

    async def _body(self, scope: Message, receive: Receive) -> bytes:
        try:
            return await asyncio.wait_for(_read(scope, receive, self.limits.body_bytes), self.limits.body_seconds)
        except TimeoutError as fault:
            raise Refused(408, "slow_body", "the body came too slowly", "send it at once") from fault

    def _admitted(self, scope: Message) -> Granted | None:
        """Who asks. Raises Refused for too much load, a missing or weak key, too many requests."""
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > self.limits.path_bytes:
            raise Refused(414, "too_long", "the address is too long", "use the endpoints that take a body")
        if self.keys is None and self.limits.hosts:
            _check_origin(scope, self.limits.hosts)
        if scope["path"] in OPEN:
            return None
        if self.in_flight > self.limits.in_flight:
            self.telemetry.shed.labels("load").inc()
            raise Refused(503, "busy", "too many requests at once", "try again a little later", 1.0)
        caller = self._known(scope)
        self._charge(_payer(scope, caller))
        if caller and needed(scope["path"]) not in caller.scopes:
            raise Refused(403, "not_allowed", "this key may not do that", f"use a key with {needed(scope['path'])!r}")
        return caller

    def _charge(self, payer: str, cost: float = 1.0) -> None:
        """Take from the caller's bucket. Raises Refused where it holds too little."""
        if wait := self.limiter.wait(payer, cost):
            self.telemetry.shed.labels("rate").inc()
            raise Refused(429, "too_often", "too many requests from this caller", "wait as Retry-After says", wait)

    def _known(self, scope: Message) -> Granted | None:
        """The holder of the key that came. Raises Refused without one, and 429 for an address that goes on guessing."""
        if self.keys is None:
            return None
        caller = self.keys.grant(_secret(scope))
        if caller is None:
            self.telemetry.shed.labels("key").inc()
            self._charge(_payer(scope, None))
            raise Refused(401, "no_key", "no valid key came with the request", "send the header X-API-Key")
        return caller

    def _count(self, scope: Message, answer: "_Answer", seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # the pattern, never what a caller wrote
        self.telemetry.in_flight.set(self.in_flight)
        self.telemetry.seconds.labels(route).observe(seconds)
        self.telemetry.answers.labels(route, answer.status).inc()
        told = {"request": answer.request_id, "route": route, "status": answer.status, "ms": round(1000 * seconds, 2)}
        LOG.info(json.dumps(told))


def needed(path: str) -> str:
    """The scope that a path asks for; what is not known to be for readers is for administrators."""
    if path.startswith("/v1/feedback"):
        return WRITE
    return READ if path.startswith("/v1/") or path == "/version" else ADMIN


def _payer(scope: Message, caller: Granted | None) -> str:
    """Whose bucket pays: the key's holder, else the address. No holder's name can be an address."""
    return f"key {caller.name}" if caller else f"from {(scope.get('client') or ['?'])[0]}"


def _secret(scope: Message) -> str:
    """The key in X-API-Key or Authorization; "" for none, and for several, of which a proxy may have read another."""
    given = [value for name, value in scope["headers"] if name == b"x-api-key"]
    told = [value for name, value in scope["headers"] if name == b"authorization"]
    given += [value[7:].strip() for value in told if value[:7].lower() == b"bearer "]
    return given[0].decode("latin-1") if len(given) == 1 else ""


def _check_origin(scope: Message, hosts: frozenset[str]) -> None:
    """Raise Refused where a browser came under a foreign name, or was sent by a foreign page."""
    headers = dict(scope["headers"])
    told = headers.get(b"host", b"").decode("latin-1").lower()
    name = told if told.endswith("]") else told.rpartition(":")[0] or told
    origin = headers.get(b"origin", b"http://" + told.encode("latin-1")).decode("latin-1").lower()
    if name not in hosts or origin.partition("://")[2] != told:
        raise Refused(403, "foreign", "an open service answers its own machine's pages only", "use 127.0.0.1, or keys")


def _where(fault: BaseException) -> str:
    """Kind and place of a fault; never its words, which may quote what a caller wrote."""
    frames = traceback.extract_tb(fault.__traceback__)[-4:]
    return " < ".join([type(fault).__name__, *(f"{f.filename.rpartition('/')[2]}:{f.lineno}" for f in frames[::-1])])


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
    if not told.isdigit() or len(told) > 15 or int(told) > most:
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
