"""A bounded share of what benchmarks/fuzz_service.py sends: nothing malformed makes the service fail, hang or open."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import unquote

import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recutils.deploy.access import ADMIN, READ, WRITE, Keys, new_key
from recutils.deploy.bundle import Reader
from recutils.deploy.connection import Connection
from recutils.deploy.guard import Limits
from recutils.deploy.routes import create
from recutils.deploy.service import Settings
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset
from tests.conftest import made
from tests.deploy.malformed import FRAGMENTS, PRIVATE, Asked, against_schema, asked, broken, taken, wrong
from tests.deploy.test_engine import bundle, encode

SECRET, KEY = new_key("fuzz", [READ, WRITE, ADMIN])
LIMITS = Limits(rate=1e9, burst=1e9)
FUZZ = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


class Quick(Connection):
    """The same with less patience."""

    seconds = 0.3


def planted() -> Dataset:
    import pandas as pd

    ratings = made()
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(ratings.n_users)]})
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(ratings.n_items)]})
    items["title"] = [f"Item {row}" for row in range(ratings.n_items)]
    return Dataset("planted", ratings, users, items, explicit=True)


class Here:
    """The service in this process, asked without a network as uvicorn would ask it."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self.runner = app, asyncio.Runner()
        self._life = app.router.lifespan_context(app)
        self.runner.run(self._life.__aenter__())

    def close(self) -> None:
        self.runner.run(self._life.__aexit__(None, None, None))
        self.runner.close()

    def ask(self, one: Asked, *, key: str = SECRET) -> tuple[int, bytes]:
        keys = [(b"x-api-key", key.encode())] if key else []
        length = [(b"content-length", str(len(one.body)).encode())]
        return self.runner.run(_ask(self.app, one.having(*keys, *length)))


async def _ask(app: FastAPI, one: Asked) -> tuple[int, bytes]:
    path, _, query = one.target.partition(b"?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": one.method.decode(),
        "scheme": "http", "path": unquote(path.decode()), "raw_path": path, "query_string": query, "root_path": "",
        "headers": [(b"host", b"test"), *one.headers], "state": {},
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip
    told, given_ = [], [{"type": "http.request", "body": one.body, "more_body": False}]

    async def receive() -> dict:
        return given_.pop() if given_ else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        told.append(message)

    await asyncio.wait_for(app(scope, receive, send), 20)
    return told[0]["status"], b"".join(message.get("body", b"") for message in told[1:])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("fuzz")
    shelf = Shelf(folder / "shelf")
    shelf.publish(bundle(planted()))
    found = Here(create(Settings(
        shelf, keys=Keys((KEY,)), limits=LIMITS, feedback=folder / "log", encode=encode,
        reader=Reader("planted", "0" * 64, 3), poll_seconds=0,
    )))  # fmt: skip
    yield found
    found.close()


def check(here: Here, one: Asked) -> None:
    for key in (SECRET, "", SECRET[:-1] + "~"):
        status, body = here.ask(one, key=key)
        assert not (fault := wrong(status, body, keyed=key == SECRET, path=one.path)), (fault, one)
        if status >= 400 and one.method != b"HEAD":
            assert set(json.loads(body)["error"]) == {"code", "message", "cure"}


def test_malformed_requests_are_refused_and_nothing_of_them_is_logged(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    @settings(FUZZ, max_examples=130)
    @given(asked())
    def send(one: Asked) -> None:
        check(here, one)

    with caplog.at_level(logging.INFO):
        send()
    told = caplog.text + here.ask(Asked(b"GET", b"/metrics"))[1].decode()
    assert PRIVATE not in told and SECRET not in told and KEY.digest not in told
    own = [one.getMessage() for one in caplog.records if one.name == "recutils.service"]
    assert len(own) >= 300 and all(not set(text) & set("\r\n\x00") for text in own)
    routes = set(re.findall(r'route="([^"]*)"', told))
    assert routes <= {"none", *(getattr(route, "path", "none") for route in here.app.routes)}


@pytest.mark.parametrize("body", FRAGMENTS, ids=range(len(FRAGMENTS)))
def test_each_known_trick_with_json_is_refused_at_every_place(here: Here, body: bytes) -> None:
    for place in (b"/v1/recommendations", b"/v1/recommendations/text", b"/v1/batch", b"/v1/why/i1", b"/v1/feedback"):
        check(here, Asked(b"POST", place, ((b"content-type", b"application/json"),), body))


def test_requests_against_the_schema_are_refused(here: Here) -> None:
    operations = dict(against_schema(here.app.openapi()))
    assert len(operations) >= 9  # all that take anything; the benchmark sends to each of them
    for name in ("post /v1/batch", "post /v1/feedback", "get /v1/search"):
        for one in taken(operations[name], 5, 7):
            check(here, one)


def test_the_judge_sees_what_it_must() -> None:
    """The law above would be worth nothing if `wrong` were blind."""
    listed, fault = b'{"items":[],"how":"popular"}', b'{"error":{"message":"KeyError in engine.py"}}'
    assert wrong(500, b"", keyed=True) and wrong(502, b"", keyed=False) and not wrong(503, b"", keyed=True)
    assert wrong(200, listed, keyed=False) and wrong(204, b"", keyed=False, path="/metrics")
    assert not wrong(200, listed, keyed=True) and not wrong(200, b"{}", keyed=False, path="/health")
    assert wrong(404, fault, keyed=True) and not wrong(404, b"no engine", keyed=True)


@asynccontextmanager
async def listening(app: FastAPI, protocol: type[Connection]) -> AsyncIterator[int]:
    """The service behind the real uvicorn in this loop; its port."""
    server = uvicorn.Server(uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="off", access_log=False, server_header=False,
        h11_max_incomplete_event_size=16_384, http=protocol, ws="none", proxy_headers=False,
    ))  # fmt: skip
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def told(port: int, content: bytes) -> bytes:
    """Send bytes and read until the service closes, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = bytearray()
    with suppress(ConnectionError):
        writer.write(content)
        async with asyncio.timeout(20):
            while part := await reader.read(65_536):
                found += part
    writer.transport.abort()
    return bytes(found)


def test_bytes_that_are_no_http_end_in_a_refusal_or_a_closed_door(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    cases = taken(broken(SECRET.encode()), 40, 7), taken(broken(b""), 60, 8)
    whole = Asked(b"GET", b"/v1/users/u1/recommendations").wire().replace(b"connection: close\r\n", b"")
    cases[1].extend([whole + b"\x00\r\n\r\n"] * 3)  # garbage behind a request whose answer is under way

    async def steps() -> None:
        async with listening(here.app, Quick) as port:
            for keyed, wires in zip((True, False), cases, strict=True):
                answers = await asyncio.gather(*(told(port, wire) for wire in wires))
                for wire, answer in zip(wires, answers, strict=True):
                    for status in re.findall(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n", answer) or [b"0"]:
                        assert not (fault := wrong(int(status), answer, keyed=keyed)), (fault, wire[:300])
            good = b"GET /v1/users/u1/recommendations HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-api-key: "
            assert b'"how":"personal"' in await told(port, good + SECRET.encode() + b"\r\n\r\n")

    with caplog.at_level(logging.INFO):
        here.runner.run(steps())
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert PRIVATE not in caplog.text and SECRET not in caplog.text


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HTTP/1.1\r\nhost: a\r\n", b"POST /v1/batch HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"]
)
def test_a_connection_that_stays_half_open_is_cut_off(here: Here, begin: bytes) -> None:
    """Slow loris: nothing, half a header, or a refused request whose body never comes; a byte now and then."""

    async def drip(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begin)
        task = asyncio.create_task(more(writer))
        try:
            async with asyncio.timeout(20):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            task.cancel()
            writer.transport.abort()

    async def more(writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while begin:
                await asyncio.sleep(0.05)
                writer.write(b"x")

    async def steps() -> None:
        async with listening(here.app, Quick) as port:
            assert b" 200 " not in await drip(port)

    here.runner.run(steps())


def test_what_works_longer_than_the_patience_for_a_request_is_not_cut_off(here: Here) -> None:
    async def slow(scope: dict, receive: object, send: object) -> None:
        await asyncio.sleep(1.0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def steps() -> None:
        async with listening(slow, Quick) as port:
            assert (await told(port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")).endswith(b"ok")

    here.runner.run(steps())


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes_as_a_key_are_no_key(here: Here, secret: bytes) -> None:
    header = (b"x-api-key", secret)
    status, body = here.ask(Asked(b"GET", b"/v1/users/u1/recommendations", (header,)), key="")
    assert status == 401 and b'"how":"' not in body
