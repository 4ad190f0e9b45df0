"""The service in process: every route, every refusal in one form, and a reload that no request notices."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recutils.deploy.access import ADMIN, READ, WRITE, Keys, new_key
from recutils.deploy.bundle import MODELS, Reader
from recutils.deploy.feedback import read
from recutils.deploy.guard import HEADERS, Limits
from recutils.deploy.routes import create
from recutils.deploy.service import Settings
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset, Problem
from tests.deploy.test_engine import bundle, encode

READER = Reader("planted", "0" * 64, 3)
Steps = Callable[[httpx.AsyncClient, FastAPI], Awaitable[None]]


@asynccontextmanager
async def running(asked: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    app = create(asked)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client, app


def serve(asked: Settings, steps: Steps) -> None:
    async def all_steps() -> None:
        async with running(asked) as (client, app):
            await steps(client, app)

    asyncio.run(all_steps())


def opened(shelf: Shelf, **more: object) -> Settings:
    return Settings(shelf, open_to_all=True, encode=encode, reader=READER, poll_seconds=0, **more)


def test_every_list_is_ranked_and_says_how_it_was_found(shelf: Shelf) -> None:
    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        version = (await client.get("/ready")).json()["version"]
        asked = {
            "personal": await client.get("/v1/users/u3/recommendations?k=4"),
            "popular": await client.get("/v1/users/nobody/recommendations?k=4"),
            "meaning": await client.post("/v1/recommendations/text", json={"text": "kettle", "k": 2}),
            "words and meaning": await client.get("/v1/search", params={"q": "claw hammer", "k": 1}),
        }
        for how, answer in asked.items():
            found = answer.json()
            assert answer.status_code == 200 and found["how"] == how and found["version"] == version
            assert [one["rank"] for one in found["items"]] == list(range(1, len(found["items"]) + 1))
            assert set(HEADERS) <= set(answer.headers)
        assert asked["words and meaning"].json()["items"][0]["title"] == "claw hammer"
        liked = (await client.post("/v1/recommendations", json={"items": ["i1", "gone"], "k": 3})).json()
        assert liked["how"] == "personal" and liked["note"].endswith("gone")
        similar = (await client.get("/v1/items/i0/similar?k=1")).json()
        assert [one["item_id"] for one in similar["items"]] == ["i1"]
        many = (await client.post("/v1/batch", json={"user_ids": ["u3", "nobody"], "k": 4})).json()
        assert [one["user_id"] for one in many] == ["u3", "nobody"]
        assert many[0]["items"] == asked["personal"].json()["items"]
        first = asked["personal"].json()["items"][0]["item_id"]
        assert (await client.get(f"/v1/users/u3/why/{first}")).json()["reasons"]
        assert "many choose" in (await client.post(f"/v1/why/{first}", json={"items": []})).json()["note"]

    serve(opened(shelf), steps)


BAD = [
    ("GET", "/v1/users/u3/recommendations?k=0", None, 422),
    ("GET", "/v1/users/u3/recommendations?k=101", None, 422),
    ("GET", "/v1/users/u3/recommendations?k=ten", None, 422),
    ("GET", f"/v1/users/{'u' * 201}/recommendations", None, 422),
    ("GET", f"/v1/search?q={'a' * 1001}", None, 422),
    ("GET", f"/v1/search?q={'a' * 5000}", None, 414),
    ("GET", "/v1/search", None, 422),
    ("GET", "/v1/items/gone/similar", None, 404),
    ("GET", "/v1/nothing", None, 404),
    ("DELETE", "/v1/batch", None, 405),
    ("POST", "/v1/batch", b'{"user_ids": []}', 422),
    ("POST", "/v1/batch", b'{"user_ids": ["u1"], "kk": 3}', 422),
    ("POST", "/v1/batch", b'{"user_ids": "u1"}', 422),
    ("POST", "/v1/recommendations", b'{"items": ["\xff\xfe"]}', 400),
    ("POST", "/v1/recommendations", b"not json", 422),
    ("POST", "/v1/recommendations", b'{"items": [1, 2]}', 422),
    ("POST", "/v1/recommendations/text", json.dumps({"text": "a" * 1001}).encode(), 422),
    ("POST", "/v1/recommendations", b"[" * 100_000, 400),
    ("POST", "/v1/recommendations", b" " * 10_000_000, 413),
    ("POST", "/v1/feedback", b'{"events": [{"id": "1"}]}', 422),
    ("GET", "/page/../service.py", None, 404),
    ("GET", "/page/%2e%2e%2fservice.py", None, 404),
]


def test_what_is_wrong_is_refused_in_one_form(shelf: Shelf) -> None:
    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        for method, path, body, status in BAD:
            headers = {"content-type": "application/json"} if body else {}
            answer = await client.request(method, path, content=body, headers=headers)
            assert answer.status_code == status, (method, path[:60], answer.text[:200])
            error = answer.json()["error"]
            assert set(error) == {"code", "message", "cure"} and len(error["message"]) <= 400
            assert "Traceback" not in answer.text and answer.headers["x-content-type-options"] == "nosniff"

    serve(opened(shelf), steps)


def test_a_key_opens_its_own_doors_only(shelf: Shelf, tmp_path: Path) -> None:
    (reader, kept), (boss, chief) = new_key("shop", [READ]), new_key("boss", [WRITE, ADMIN])
    asked = Settings(shelf, keys=Keys((kept, chief)), poll_seconds=0, feedback=tmp_path / "log")

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        path = "/v1/users/u3/recommendations"
        assert (await client.get(path)).status_code == 401
        assert (await client.get(path, headers={"x-api-key": reader + "x"})).status_code == 401
        assert (await client.get(path, headers={"x-api-key": reader})).status_code == 200
        assert (await client.get(path, headers={"authorization": f"Bearer {reader}"})).status_code == 200
        assert (await client.get(path, headers={"x-api-key": boss})).status_code == 403
        assert (await client.post("/admin/reload", headers={"x-api-key": reader})).status_code == 403
        assert (await client.post("/admin/reload", headers={"x-api-key": boss})).json()["changed"] is False
        assert (await client.get("/metrics", headers={"x-api-key": reader})).status_code == 403
        assert (await client.get("/v1/anything", headers={})).status_code == 401  # no map of what exists
        for free in ("/health", "/ready", "/", "/page/app.js", "/page/style.css", "/openapi.json"):
            assert (await client.get(free)).status_code == 200, free

    serve(asked, steps)
    with pytest.raises(Problem, match="exactly one of the two"):
        Settings(shelf)


def test_feedback_is_kept_before_it_is_acknowledged_and_once(shelf: Shelf, tmp_path: Path) -> None:
    one = {"id": "a", "user_id": "u1", "item_id": "i1", "kind": "click", "time": "2000-01-01T00:00:00+00:00"}

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/v1/feedback", json={"events": [one, one | {"id": "b"}]})
        assert answer.status_code == 201 and answer.json() == {"kept": 2, "known": 0}
        assert [event["id"] for event in read(tmp_path / "log")] == ["a", "b"]
        assert (await client.post("/v1/feedback", json={"events": [one]})).json() == {"kept": 0, "known": 1}
        wrong = one | {"time": "2000-01-01T00:00:00"}  # no zone: nobody knows when that was
        assert (await client.post("/v1/feedback", json={"events": [wrong]})).status_code == 422

    serve(opened(shelf, feedback=tmp_path / "log"), steps)


def test_who_asks_too_often_is_told_when_to_come_back(shelf: Shelf) -> None:
    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        answers = [await client.get("/v1/users/u3/recommendations") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert (await client.get("/health")).status_code == 200

    serve(opened(shelf, limits=Limits(rate=0.01, burst=3)), steps)


def test_too_much_at_once_is_refused_and_passes_again(shelf: Shelf) -> None:
    def slow(texts: list[str]) -> object:
        import time

        time.sleep(0.05)
        return encode(texts)

    async def steps(client: httpx.AsyncClient, app: FastAPI) -> None:
        asked = [client.post("/v1/recommendations/text", json={"text": "tea", "k": 2}) for _ in range(12)]
        codes = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert set(codes) == {200, 503} and codes.count(200) >= 4
        assert (await client.post("/v1/recommendations/text", json={"text": "tea"})).status_code == 200
        assert app.state.service.telemetry.in_flight._value.get() == 0

    serve(Settings(shelf, open_to_all=True, encode=slow, reader=READER, limits=Limits(in_flight=4)), steps)


def test_what_takes_too_long_ends_with_504(shelf: Shelf) -> None:
    def stuck(texts: list[str]) -> object:
        import time

        if "stuck" in texts:
            time.sleep(0.3)
        return encode(texts)

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        answer = await client.post("/v1/recommendations/text", json={"text": "stuck"})
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "too_slow"
        await asyncio.sleep(0.3)
        assert (await client.post("/v1/recommendations/text", json={"text": "tea"})).status_code == 200

    serve(Settings(shelf, open_to_all=True, encode=stuck, reader=READER, limits=Limits(seconds=0.1)), steps)


def test_no_request_fails_while_bundles_are_exchanged(shelf: Shelf, dataset: Dataset) -> None:
    import dataclasses

    other = dataclasses.replace(bundle(dataset), model=MODELS["popularity"]().fit(dataset.interactions))

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        seen, stop = set(), asyncio.Event()

        async def ask() -> None:
            while not stop.is_set():
                answer = await client.get("/v1/users/u3/recommendations?k=3")
                assert answer.status_code == 200
                seen.add(answer.json()["version"])

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        for step in (lambda: shelf.publish(other), shelf.rollback, lambda: shelf.publish(other)):
            folder = await asyncio.to_thread(step)
            assert (await client.post("/admin/reload")).json() == {"changed": True, "version": folder.name}
            await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*asking)
        assert len(seen) == 2

    serve(opened(shelf), steps)


def test_the_shelf_is_watched(shelf: Shelf, dataset: Dataset) -> None:
    """What README promises: a running service takes another bundle over by itself."""
    import dataclasses

    asked = Settings(shelf, open_to_all=True, encode=encode, reader=READER, poll_seconds=0.02)

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        folder = await asyncio.to_thread(shelf.publish, dataclasses.replace(bundle(dataset), notes=("another",)))
        async with asyncio.timeout(20):
            while (await client.get("/ready")).json()["version"] != folder.name:
                await asyncio.sleep(0.02)
        (folder / "card.md").write_text("changed")  # nobody looks again at what is served
        await asyncio.sleep(0.1)
        assert (await client.get("/v1/users/u3/recommendations")).status_code == 200

    serve(asked, steps)


def test_a_damaged_bundle_is_refused_and_the_old_one_stays(shelf: Shelf, dataset: Dataset) -> None:
    import dataclasses

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        before = (await client.get("/ready")).json()["version"]
        folder = shelf.publish(dataclasses.replace(bundle(dataset), notes=("other",)))
        (folder / "card.md").write_text("changed")
        answer = await client.post("/admin/reload")
        assert answer.status_code == 409 and "not the file that was published" in answer.text
        assert (await client.get("/ready")).json()["version"] == before
        assert (await client.get("/v1/users/u3/recommendations")).status_code == 200
        assert 'recutils_reloads_total{result="refused"} 1.0' in (await client.get("/metrics")).text

    serve(opened(shelf), steps)


def test_logs_and_metrics_hold_no_text_id_or_key(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    secret, key = new_key("shop", [READ, ADMIN])
    asked = Settings(shelf, keys=Keys((key,)), encode=encode, reader=READER, poll_seconds=0)

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        headers = {"x-api-key": secret}
        await client.get("/v1/users/u3secretname/recommendations", headers=headers)
        await client.get("/v1/search", params={"q": "my private wish"}, headers=headers)
        await client.post("/v1/recommendations/text", json={"text": "my private wish"}, headers=headers)
        told = caplog.text + (await client.get("/metrics", headers=headers)).text
        for private in ("u3secretname", "private wish", "private%20wish", secret):
            assert private not in told
        assert '"route": "/v1/users/{user_id}/recommendations"' in caplog.text

    with caplog.at_level(logging.INFO, logger="recutils.service"):
        serve(asked, steps)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["items", "k", "text"]), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.binary(max_size=60) | JSON.map(lambda one: json.dumps(one).encode()), min_size=1, max_size=8))
def test_no_body_makes_the_service_fail(shelf: Shelf, bodies: list[bytes]) -> None:
    """The claim for 10,000 malformed requests is measured by benchmarks/fuzz_service.py; here are some hundreds."""

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        for body in bodies:
            for path in ("/v1/recommendations", "/v1/recommendations/text", "/v1/batch"):
                answer = await client.post(path, content=body, headers={"content-type": "application/json"})
                assert answer.status_code < 500, (path, body, answer.text)

    serve(opened(shelf), steps)


def test_lists_are_given_before_the_encoder_is_there_and_texts_say_so(shelf: Shelf) -> None:
    import threading

    may_load = threading.Event()

    def late(texts: list[str]) -> object:
        assert may_load.wait(10)
        return encode(texts)

    async def steps(client: httpx.AsyncClient, app: FastAPI) -> None:
        ready = (await client.get("/ready")).json()
        assert ready["status"] == "ready" and ready["texts"] == "words, until the encoder is loaded"
        assert (await client.get("/v1/users/u3/recommendations")).json()["how"] == "personal"
        early = (await client.post("/v1/recommendations/text", json={"text": "tea"})).json()
        assert early["how"] == "words" and early["note"] == "found by words, until the encoder is loaded"
        may_load.set()
        await app.state.service._warming
        assert (await client.get("/ready")).json()["texts"] == "words and meaning"
        whole = (await client.post("/v1/recommendations/text", json={"text": "tea"})).json()
        assert whole["how"] == "meaning" and whole["note"] == ""

    serve(Settings(shelf, open_to_all=True, encode=late, reader=READER, poll_seconds=0, encode_later=True), steps)


def test_an_encoder_that_fails_leaves_words_and_is_told(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: list[str]) -> object:
        raise OSError("a part of the weights cannot be read")

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.get("/ready")).json()["texts"] == "words, since the encoder failed"
        found = await client.get("/v1/search", params={"q": "claw hammer"})
        assert found.json()["how"] == "words" and "since the encoder failed" in found.json()["note"]
        assert "a part of the weights cannot be read" in caplog.text

    serve(Settings(shelf, open_to_all=True, encode=broken, reader=READER, poll_seconds=0), steps)
