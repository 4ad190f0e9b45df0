"""What stands before every request, each with the smallest app behind it: who pays, who waits, what the log tells."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from recutils.deploy.access import ADMIN, READ, WRITE, Keys, new_key
from recutils.deploy.bundle import Reader
from recutils.deploy.guard import HEADERS, Guard, Limits, needed
from recutils.deploy.service import Settings
from recutils.deploy.shelf import Shelf
from recutils.deploy.telemetry import Telemetry
from tests.deploy.test_engine import encode
from tests.deploy.test_service import serve

PATH = "/v1/users/u3/recommendations"
READER = Reader("planted", "0" * 64, 3)
Handler = Callable[[dict, Callable, Callable], Awaitable[None]]


async def fine(scope: dict, receive: Callable, send: Callable) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (await receive())["body"]})


def guard(app: Handler = fine, *, keys: Keys | None = None, **limits: Any) -> Guard:
    return Guard(app, keys=keys, limits=Limits(**limits), telemetry=Telemetry())


def ask(
    guarded: Guard, path: str = PATH, *, parts: tuple = (b"",), wait: float = 0, **headers: str
) -> tuple[int, dict]:
    """Status, and the error or {"body": ...}; parts: what comes of the body, each after `wait` seconds."""
    coded = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {
        "type": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": coded,
        "client": ("1.2.3.4", 5),
    }
    told, left = [], list(parts)

    async def receive() -> dict:
        await asyncio.sleep(wait)
        part = left.pop(0)
        return (
            {"type": "http.disconnect"}
            if part is None
            else {"type": "http.request", "body": part, "more_body": bool(left)}
        )

    async def send(message: dict) -> None:
        told.append(message)

    asyncio.run(guarded(scope, receive, send))
    body = told[1]["body"]
    assert {name.encode() for name in HEADERS} <= {name for name, _ in told[0]["headers"]}
    return told[0]["status"], json.loads(body)["error"] if told[0]["status"] >= 400 else {"body": body}


def test_a_body_is_limited_whether_or_not_it_says_its_size() -> None:
    small = {"body_bytes": 10}
    assert ask(guard(**small), parts=(b"12345", b"67890"))[1] == {"body": b"1234567890"}
    assert ask(guard(**small), parts=(b"12345", b"678901"))[0] == 413
    for size in ("11", "-1", "1e1", "0x5", "9" * 5000, "", "5, 5"):
        assert ask(guard(**small), parts=(b"12345",), content_length=size)[0] == 413


def test_a_body_that_comes_too_slowly_is_refused_as_the_callers_fault() -> None:
    status, error = ask(guard(body_seconds=0.05), parts=(b"1",) * 100, wait=0.02)
    assert status == 408 and error["code"] == "slow_body"
    assert ask(guard(), parts=(b"1", None))[0] == 499


def test_what_is_open_to_all_takes_no_body_from_anybody() -> None:
    assert ask(guard(keys=Keys()), "/health", parts=(b"x" * 100,))[1] == {"body": b""}


def test_wrong_keys_are_charged_to_their_address_and_right_ones_are_not_hindered() -> None:
    secret, key = new_key("shop", [READ])
    guarded = guard(keys=Keys((key,)), rate=0.001, burst=3)
    assert [ask(guarded, x_api_key="guess")[0] for _ in range(5)] == [401, 401, 401, 429, 429]
    assert [ask(guarded, x_api_key=secret)[0] for _ in range(4)] == [200, 200, 200, 429]


def test_a_key_comes_once_in_either_header() -> None:
    secret, key = new_key("shop", [READ])
    guarded = guard(keys=Keys((key,)))
    for headers in (
        {"x_api_key": secret},
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer {secret}"},
    ):
        assert ask(guarded, **headers)[0] == 200
    for headers in ({"authorization": secret}, {"authorization": f"Basic {secret}"}, {"x_api_key": f"\xff{secret}"},
                    {"x_api_key": secret, "authorization": "Bearer other"},
                    {"cookie": f"x-api-key={secret}"}):  # fmt: skip
        assert ask(guarded, **headers)[0] == 401


@pytest.mark.parametrize(("path", "scope"), [
    (PATH, READ), ("/v1/batch", READ), ("/version", READ), ("/v1/feedback", WRITE), ("/v1/feedback/anything", WRITE),
    ("/metrics", ADMIN), ("/metrics/", ADMIN), ("/admin/reload", ADMIN), ("//admin/reload", ADMIN), ("/debug", ADMIN),
    ("/V1/batch", ADMIN), ("", ADMIN),
])  # fmt: skip
def test_what_is_not_known_to_be_for_readers_is_for_administrators(path: str, scope: str) -> None:
    assert needed(path) == scope
    for other in (READ, WRITE, ADMIN):
        secret, key = new_key("one", [other])
        assert ask(guard(keys=Keys((key,))), path, x_api_key=secret)[0] == (200 if other == scope else 403)


def test_a_fault_is_logged_by_its_place_and_never_by_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(*_: object) -> None:
        raise KeyError("u3 wished privately\r\nfor this")

    status, error = ask(guard(fails))
    assert status == 500 and "KeyError" not in str(error) and "private" not in str(error)
    assert "KeyError < test_guard.py:" in caplog.text and "private" not in caplog.text
    assert error["cure"].split()[-1] in caplog.text  # whoever reports it can be found


def test_an_open_service_answers_its_own_machine_only() -> None:
    guarded = guard(hosts=frozenset({"127.0.0.1", "localhost", "[::1]"}))
    for host in ("127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000", "[::1]"):
        assert ask(guarded, host=host)[0] == 200
        assert ask(guarded, host=host, origin=f"http://{host}")[0] == 200
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "", "evil.example:127.0.0.1", "localhost@evil.example"):
        assert ask(guarded, host=host)[1]["code"] == "foreign"  # a foreign name that was bound to this machine
    for origin in ("http://evil.example", "null", "http://localhost:9", "https://127.0.0.1:8000.evil.example", ""):
        assert ask(guarded, "/admin/reload", host="127.0.0.1:8000", origin=origin)[0] == 403
    secret, key = new_key("shop", [READ])
    assert ask(guard(keys=Keys((key,)), hosts=frozenset({"a"})), host="any", x_api_key=secret)[0] == 200


def test_nothing_is_served_by_web_socket() -> None:
    told: list[dict] = []

    async def send(message: dict) -> None:
        told.append(message)

    asyncio.run(guard()({"type": "websocket", "path": PATH}, send, send))
    assert told == [{"type": "websocket.close", "code": 1008}]


def test_a_batch_costs_as_many_requests_as_it_holds(shelf: Shelf) -> None:
    asked = Settings(
        shelf, open_to_all=True, encode=encode, reader=READER, poll_seconds=0, limits=Limits(rate=0.01, burst=10)
    )

    async def steps(client: Any, _: object) -> None:
        many = {"user_ids": ["u1"] * 8}
        assert (await client.post("/v1/batch", json=many)).status_code == 200
        answer = await client.post("/v1/batch", json=many)
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 600
        assert [(await client.get(PATH)).status_code for _ in range(2)] == [200, 429]

    serve(asked, steps)


def test_no_answer_lets_foreign_pages_read_it_or_repeats_a_foreign_host(shelf: Shelf) -> None:
    asked = Settings(shelf, open_to_all=True, encode=encode, reader=READER, poll_seconds=0)

    async def steps(client: Any, _: object) -> None:
        foreign = {"origin": "http://evil.example", "host": "evil.example", "access-control-request-method": "POST"}
        for method, path in (
            ("GET", PATH),
            ("OPTIONS", PATH),
            ("GET", "/metrics/"),
            ("POST", "/v1/batch/"),
            ("HEAD", PATH),
        ):
            answer = await client.request(method, path, headers=foreign)
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert "evil" not in str(answer.headers) and not answer.is_redirect
        assert (await client.request("OPTIONS", PATH)).status_code == 405

    serve(asked, steps)


def test_a_revoked_key_ends_without_a_restart(shelf: Shelf, tmp_path: Path) -> None:
    from recutils.deploy.access import KeyFile

    (secret, key), (_, other) = new_key("shop", [READ]), new_key("other", [READ])
    path = Keys((key, other)).save(tmp_path / "keys.json")
    asked = Settings(shelf, keys=KeyFile(path, every=0), poll_seconds=0)

    async def steps(client: Any, _: object) -> None:
        headers = {"x-api-key": secret}
        assert (await client.get(PATH, headers=headers)).status_code == 200
        Keys.load(path).without("shop").save(path)
        assert (await client.get(PATH, headers=headers)).status_code == 401

    serve(asked, steps)


def test_the_counters_keep_few_series_whatever_is_asked(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    asked = Settings(shelf, open_to_all=True, encode=encode, reader=READER, poll_seconds=0)

    async def steps(client: Any, _: object) -> None:
        before = len((await client.get("/metrics")).text.split("\n"))
        for number in range(60):
            await client.get(f"/v1/users/{number}/recommendations")
            await client.get(f"/{number}/nothing")
            await client.request(f"M{number}", f"/v1/items/{number}/similar")
        assert len((await client.get("/metrics")).text.split("\n")) < before + 150

    with caplog.at_level(logging.INFO, logger="recutils.service"):
        serve(asked, steps)
    assert len({json.loads(one.getMessage())["route"] for one in caplog.records if "route" in one.getMessage()}) <= 5
