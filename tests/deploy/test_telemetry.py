"""What the service tells of itself: the window's gauges, no ids, the cache, a reference beside the shelf."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from prometheus_client import generate_latest

from recutils.deploy.drift import Feature, Reference, coordinates
from recutils.deploy.engine import MEANING, PERSONAL, POPULAR, Answer, Engine
from recutils.deploy.feedback import read
from recutils.deploy.recent import Recent
from recutils.deploy.replay import Ask
from recutils.deploy.service import REFERENCE
from recutils.deploy.shelf import Shelf
from recutils.deploy.telemetry import Telemetry
from recutils.deploy.toll import toll
from recutils.deploy.window import FEATURES, Window
from recutils.tables import Dataset
from tests.deploy.test_engine import bundle, encode
from tests.deploy.test_service import opened, serve


def answer(how: str = PERSONAL, seen: tuple = (1, 2, 3), items: tuple = (4, 5), unknown: int = 0) -> Answer:
    return Answer(items, tuple(1.0 / (1 + n) for n in range(len(items))), how, "", "v", np.array(seen, int), unknown)


def test_a_window_notes_each_feature_where_it_applies() -> None:
    window = Window(10)
    places = np.arange(30, dtype=np.float32).reshape(10, 3)
    window.note(answer(), places)
    window.note(answer(MEANING, ()), places)
    window.note(answer(POPULAR, (), unknown=2), None)
    rows = window.newest().rows
    assert rows[0].tolist() == pytest.approx([2.0, 6.0, 7.0, 8.0, 1.0, np.nan], nan_ok=True)
    assert np.isnan(rows[1, :5]).all() and rows[1, 5] == 1 and rows[2, 0] == 0 and np.isnan(rows[2, 1:]).all()


def test_the_oldest_requests_fall_out_and_the_newest_are_in_order() -> None:
    window = Window(4)
    for number in range(7):
        window.note(answer(items=(number,)), None)
    assert window.filled == 4 and window.newest().shown[:, 0].tolist() == [3, 4, 5, 6]
    assert window.rows.shape == (4, len(FEATURES)), "no request makes it grow"


def test_shares_are_those_of_planted_requests() -> None:
    window = Window(200)
    for number in range(200):
        cold = number % 4 == 0
        window.note(answer(POPULAR if cold else PERSONAL, () if cold else (1, 2, 3), (number % 8,), int(cold)), None)
    found = {name: value for name, _, value in window.samples(None, 16)}
    assert found == {
        "recutils_window_requests": 200, "recutils_cold_share": 0.25, "recutils_unknown_item_share": 0.1,
        "recutils_coverage_share": 0.5,
    }  # fmt: skip


def test_a_young_window_says_only_how_young_it_is() -> None:
    window = Window(500)
    for _ in range(99):
        window.note(answer(), None)
    assert window.samples(None, 9) == [("recutils_window_requests", "", 99.0)]


def test_shifted_scores_raise_the_drift_of_scores_alone() -> None:
    rng, window = np.random.default_rng(0), Window(1000)
    values = rng.normal(size=(2000, len(FEATURES)))
    features = {name: Feature.of(values[:, at]) for at, name in enumerate(FEATURES)}
    reference = Reference(features, np.array(["a"]), np.zeros((1, 3)))
    window.rows[:] = rng.normal(size=(1000, len(FEATURES)))
    window.rows[:, FEATURES.index("score")] += 1
    window.n = 1000
    moved = {feature: value for name, feature, value in window.samples(reference, 9) if name == "recutils_drift_psi"}
    assert moved.pop("score") > 0.5 and max(map(abs, moved.values())) < 0.05


def test_the_exposition_holds_no_id_and_only_known_labels() -> None:
    telemetry = Telemetry()
    telemetry.serves(["film-77"], None)
    for _ in range(150):
        telemetry.listed(answer(items=(0,)))
    text = generate_latest(telemetry.registry).decode()
    assert "recutils_coverage_share 1.0" in text and 'recutils_lists_total{how="personal"} 150.0' in text
    assert "film-77" not in text
    assert 'recutils_reloads_total{result="refused"} 0.0' in text, "a rate needs a 0 to rise from"


def test_the_service_exports_cold_unknown_cache_and_drift(shelf: Shelf, dataset: Dataset) -> None:
    features = {"length": Feature.of(np.random.default_rng(0).normal(3, 1, 500))}
    Reference(features, dataset.item_ids.values.astype(str), coordinates(dataset.interactions.matrix())).save(
        shelf.place / REFERENCE
    )

    async def steps(client: httpx.AsyncClient, app: FastAPI) -> None:
        for number in range(60):
            assert (await client.get(f"/v1/users/u{number % 40}/recommendations")).status_code == 200
            await client.get("/v1/users/nobody/recommendations")
            await client.post("/v1/recommendations", json={"items": ["i1", "gone"]})
            await client.post("/v1/recommendations/text", json={"text": "kettle"})
        text = (await client.get("/metrics")).text
        assert "recutils_unknown_item_share 0." in text and 'recutils_drift_psi{feature="length"}' in text
        assert f"recutils_cold_share {1 / 3}" in text
        assert 'recutils_cache_total{result="hit"} 59.0' in text and 'recutils_cache_total{result="miss"} 1.0' in text
        assert "gone" not in text and "nobody" not in text and "kettle" not in text

    serve(opened(shelf), steps)


def test_a_damaged_reference_is_told_and_the_service_serves_on(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    (shelf.place / REFERENCE).write_text("{")

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        assert (await client.get("/ready")).status_code == 200

    serve(opened(shelf), steps)
    assert "no drift" in caplog.text


def test_clocks_ahead_are_counted_and_far_ahead_refused(shelf: Shelf, tmp_path: Path) -> None:
    import datetime

    now = datetime.datetime.now(datetime.UTC)

    def told(number: int, ahead: float) -> dict:
        time = (now + datetime.timedelta(seconds=ahead)).isoformat()
        return {"id": str(number), "user_id": "u1", "item_id": "i1", "kind": "click", "time": time}

    async def steps(client: httpx.AsyncClient, _: FastAPI) -> None:
        both = [told(1, -1e7), told(2, 3600)]
        assert (await client.post("/v1/feedback", json={"events": both})).json() == {"kept": 2, "known": 0}
        far = await client.post("/v1/feedback", json={"events": [told(3, 0), told(4, 2 * 86_400)]})
        assert far.status_code == 422 and far.json()["error"]["code"] == "future"
        assert "recutils_events_skewed_total 1.0" in (await client.get("/metrics")).text

    serve(opened(shelf, feedback=tmp_path / "log"), steps)
    assert [event["id"] for event in read(tmp_path / "log")] == ["1", "2"]


def test_recent_forgets_what_was_not_asked_for_longest() -> None:
    recent = Recent(2)
    recent.put("a", np.array([1.0]))
    recent.put("b", np.array([2.0]))
    assert recent.get("a") is not None
    recent.put("c", np.array([3.0]))
    assert recent.get("b") is None and recent.get("a")[0] == 1 and len(recent) == 2


def test_the_toll_is_measured_for_three_kinds(dataset: Dataset) -> None:
    engine = Engine(bundle(dataset), encode)
    features = {"length": Feature.of(np.arange(200.0))}
    reference = Reference(features, dataset.item_ids.values.astype(str), np.zeros((30, 3)))
    asks = [Ask(0, 0, None, user="u1"), Ask(0, 0, None, user="x")]
    found = toll(engine, reference, asks, 5, rounds=2)
    assert len(found) == 3 and (found["median us"] > 0).all() and (found.p10 <= found.p90).all()
