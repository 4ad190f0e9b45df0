"""Bad input whose stated behaviour no other file tests: see the table in docs/security.md."""

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recutils.deploy import feedback as logging_of_events
from recutils.deploy.access import READ, SKEW, KeyFile, Keys, new_key
from recutils.deploy.batcher import Batcher
from recutils.deploy.feedback import read
from recutils.deploy.service import Settings
from recutils.deploy.shelf import Shelf
from recutils.tables import Problem
from tests.deploy.test_engine import encode
from tests.deploy.test_service import opened, serve

EVENT = {"id": "a", "user_id": "u1", "item_id": "i1", "kind": "click", "time": "2000-01-01T00:00:00Z"}
PATH = "/v1/users/u3/recommendations"


def test_unknown_and_odd_ids_get_what_is_popular_and_are_told_so(shelf: Shelf) -> None:
    async def steps(client: Any, _: object) -> None:
        popular = (await client.get("/v1/users/nobody/recommendations?k=5")).json()["items"]
        for odd in (
            "U3",
            "u3%20",
            "u3%00",
            "%EF%BC%B53",
            "u3%E2%80%AE",
            "%ff%fe",
            "u3%0d%0ax: 1",
            "%2e%2e",
            "%F0%9F%92%A9",
        ):
            answer = await client.get(f"/v1/users/{odd}/recommendations?k=5")
            told = answer.json()
            assert answer.status_code == 200 and told["how"] == "popular" and "nobody is known as" in told["note"]
            assert told["items"] == popular, odd  # no id is folded, trimmed or cut into another person's
        for odd in ("I1", "i1%00", "i1%20"):
            assert (await client.get(f"/v1/items/{odd}/similar")).status_code == 404
        many = {"user_ids": ["nobody", "u3\x00", "u3"], "k": 5}
        assert [one["how"] for one in (await client.post("/v1/batch", json=many)).json()] == [
            "popular",
            "popular",
            "personal",
        ]

    serve(opened(shelf), steps)


def test_empty_things_get_what_is_popular_and_are_told_so(shelf: Shelf) -> None:
    async def steps(client: Any, _: object) -> None:
        for path, body in (("/v1/recommendations", {"items": []}), ("/v1/recommendations/text", {"text": " \t\n"})):
            told = (await client.post(path, json=body)).json()
            assert told["how"] == "popular" and told["items"] and "most popular" in told["note"]
        assert (await client.get("/v1/search?q=")).json()["how"] == "popular"
        assert (await client.get("/v1/users//recommendations")).status_code == 404
        assert (await client.post("/v1/batch", json={"user_ids": [""]})).status_code == 422
        assert (await client.post("/v1/feedback", json={"events": []})).status_code == 422

    serve(opened(shelf), steps)


@pytest.mark.parametrize("k", ["101", "1000000000", "9" * 3000, "-1", "0", "1.5", "1e1", "", "NaN", "true", "10,10"])
def test_a_length_that_is_none_is_refused_and_the_longest_list_ends_with_the_catalogue(shelf: Shelf, k: str) -> None:
    async def steps(client: Any, _: object) -> None:
        assert (await client.get(f"{PATH}?k={k}")).status_code == 422
        for number in ("1e400", "NaN", "-Infinity", "1.5", "true", '"5"', "null", "101"):
            answer = await client.post(
                "/v1/recommendations",
                content=f'{{"items": [], "k": {number}}}',
                headers={"content-type": "application/json"},
            )
            assert answer.status_code == 422, number
        assert len((await client.get("/v1/users/nobody/recommendations?k=100")).json()["items"]) == 30

    serve(opened(shelf), steps)


def test_of_a_field_that_comes_twice_the_last_counts(shelf: Shelf) -> None:
    async def steps(client: Any, _: object) -> None:
        body = '{"items": ["i1"], "k": 9, "k": 2, "items": ["i3"]}'
        told = (
            await client.post("/v1/recommendations", content=body, headers={"content-type": "application/json"})
        ).json()
        assert (
            told["items"] == (await client.post("/v1/recommendations", json={"items": ["i3"], "k": 2})).json()["items"]
        )

    serve(opened(shelf), steps)


def test_json_under_another_name_is_refused(shelf: Shelf) -> None:
    """A form on a foreign page can post text/plain without asking first; it must not be taken for JSON."""

    async def steps(client: Any, _: object) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            answer = await client.post("/v1/recommendations", content=b'{"items": []}', headers={"content-type": kind})
            error = answer.json()["error"]
            assert answer.status_code == 422 and error["code"] == "not_json", kind
            assert error["message"] == f"the body is not called JSON (content-type {kind.partition(';')[0]})"
            assert error["cure"] == "send `Content-Type: application/json`"
        for odd in ("", "<b>engine</b>", "a" * 99 + "/json"):
            told = (await client.post("/v1/batch", content=b"{}", headers={"content-type": odd})).json()["error"]
            assert "(no or an odd content-type)" in told["message"]
        nothing = (await client.post("/v1/batch", headers={"content-type": "text/plain"})).json()["error"]
        assert nothing["code"] == "invalid" and "required" in nothing["message"].lower()

    serve(opened(shelf), steps)


@pytest.mark.parametrize("step", ["fsync", "open", "truncate"])
def test_a_full_disk_is_told_keeps_nothing_and_heals(
    shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The disk refuses to sync a batch, to begin the next file, or even to take back what was written in part."""
    folder = tmp_path / "log"

    async def steps(client: Any, app: Any) -> None:
        log = app.state.service.log
        assert (await client.post("/v1/feedback", json={"events": [EVENT]})).status_code == 201
        log.rotate = 10 if step == "open" else log.rotate  # the next event begins a file
        with monkeypatch.context() as patch:
            full(patch, log, step)
            for _ in range(3):
                answer = await client.post("/v1/feedback", json={"events": [EVENT | {"id": "b"}]})
                assert answer.status_code == 503 and answer.json()["error"]["code"] == "not_kept"
                assert int(answer.headers["retry-after"]) > 0
                assert str(tmp_path) not in answer.text
            assert (await client.get(PATH)).status_code == 200  # lists are given meanwhile
        answer = await client.post("/v1/feedback", json={"events": [EVENT | {"id": "b"}]})
        assert answer.status_code == 201 and answer.json() == {"kept": 1, "known": 0}

    serve(opened(shelf, feedback=folder), steps)
    assert [event["id"] for event in read(folder)] == ["a", "b"]


def full(patch: pytest.MonkeyPatch, log: Any, step: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "open":
        opened_before = Path.open
        patch.setattr(
            Path, "open", lambda path, *a, **b: refuse() if "events-" in path.name else opened_before(path, *a, **b)
        )
        return
    patch.setattr(os, "fsync", refuse)
    if step == "truncate":
        patch.setattr(logging_of_events.os, "truncate", refuse)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
def test_no_event_with_an_impossible_time_gets_into_the_log(shelf: Shelf, tmp_path: Path, moment: str) -> None:
    """One that lies before the first year in another zone would stop every later reader of the log."""

    async def steps(client: Any, _: object) -> None:
        answer = await client.post("/v1/feedback", json={"events": [EVENT | {"time": moment}]})
        assert answer.status_code == 422 and answer.json()["error"]["message"]

    serve(opened(shelf, feedback=tmp_path / "log"), steps)
    assert not list(read(tmp_path / "log"))


def test_a_list_of_a_bundle_that_is_no_longer_served_is_not_placed_among_the_items_of_the_next() -> None:
    from recutils.deploy.drift import Reference
    from recutils.deploy.engine import PERSONAL, Answer
    from recutils.deploy.telemetry import Telemetry

    told = Telemetry()
    told.serves(["a", "b"], Reference({}, np.array(["a", "b"]), np.zeros((2, 3))), "new")
    told.listed(Answer((7,), (1.0,), PERSONAL, "", "old", seen=np.array([6, 7, 8])))
    assert told.window.n == 1 and np.isnan(told.window.rows[0, 1])


def test_feedback_lies_in_a_folder_that_only_its_owner_opens(shelf: Shelf, tmp_path: Path) -> None:
    async def steps(client: Any, _: object) -> None:
        assert (await client.post("/v1/feedback", json={"events": [EVENT]})).status_code == 201

    serve(opened(shelf, feedback=tmp_path / "log"), steps)
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_an_expired_key_is_refused_over_http_by_the_clock_of_the_service(shelf: Shelf, tmp_path: Path) -> None:
    now = time.time()
    keys = {
        "valid": new_key("a", [READ], days=1, now=now), "just over": new_key("b", [READ], days=1,
        now=now - 86_400 - SKEW / 2),
        "over": new_key("c", [READ], days=1, now=now - 86_400 - SKEW - 5), "made in the future": new_key("d",
        [READ], now=now + 1e6),
    }  # fmt: skip
    path = Keys(tuple(key for _, key in keys.values())).save(tmp_path / "keys.json")

    async def steps(client: Any, _: object) -> None:
        found = {
            name: (await client.get(PATH, headers={"x-api-key": one[0]})).status_code for name, one in keys.items()
        }
        assert found == {"valid": 200, "just over": 200, "over": 401, "made in the future": 200}

    serve(Settings(shelf, keys=KeyFile(path), poll_seconds=0), steps)


def test_texts_of_who_gave_up_are_not_encoded() -> None:
    """A stuck encoder must not collect a queue of texts that nobody waits for any more."""
    import threading

    seen, go = [], threading.Event()

    def slow(texts: list[str]) -> Any:
        seen.extend(texts)
        go.wait(20)
        return encode(texts)

    async def steps() -> None:
        batcher = Batcher(slow)
        first = asyncio.create_task(batcher.vector("first"))
        await asyncio.sleep(0.05)
        gone = [asyncio.create_task(batcher.vector(f"gone {number}")) for number in range(50)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        last = asyncio.create_task(batcher.vector("last"))
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, last)
        batcher.close()

    asyncio.run(steps())
    assert seen == ["first", "last"]


def test_a_bundle_whose_folder_of_the_model_is_a_link_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    from recutils.deploy.bundle import checked

    folder = shelf.current()
    (folder / "model").rename(tmp_path / "model")
    (folder / "model").symlink_to(tmp_path / "model")  # the same bytes, which somebody else may change later
    with pytest.raises(Problem):
        checked(folder)


def test_every_test_that_the_page_on_security_names_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {name for path in root.glob("tests/**/*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert len(named) > 30 and not named - there
    assert all((root / place).exists() for place in re.findall(r"`((?:tests|recutils|benchmarks)/[\w/.]+)`", page))
