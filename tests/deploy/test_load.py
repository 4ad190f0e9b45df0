"""The generator against a server of our own whose delays are known: what waits must be seen to wait."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from recutils.deploy.load import Load, closed, moments, offered
from recutils.deploy.load_report import batching, knee, ladder, percentiles, repeated, told
from recutils.tables import Problem

STATUS = {"/fine": b"200 OK", "/busy": b"503 Busy", "/wrong": b"404 Not Found"}


@contextmanager
def server(delay: float = 0.0) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one request after the other, each after `delay` seconds; /silent is never answered."""
    loop, heard = asyncio.new_event_loop(), []
    one = asyncio.Lock()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            heard.append(head)
            path = head.split(b" ")[1].decode()
            if path == "/silent":
                continue
            async with one:
                await asyncio.sleep(delay)
            for piece in (b"HTTP/1.1 " + STATUS[path] + b"\r\nContent-", b"Length: 5\r\n\r\nhel", b"lo"):
                writer.write(piece)  # an answer comes in pieces
                await writer.drain()

    listener = loop.run_until_complete(asyncio.start_server(answer, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", heard
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
    return head + await reader.readexactly(length)


def get(path: str, n: int) -> list:
    return [("GET", path, None)] * n


def test_open_loop_sees_the_queue_that_a_closed_loop_hides() -> None:
    """20 ms an answer, one at a time, asked every 5 ms: the last of 40 waits for all before it, some 600 ms."""
    with server(0.02) as (url, _):
        honest = offered(url, get("/fine", 40), 200, seed=1, arrivals="even")
        polite = closed(url, get("/fine", 40), 1, rate=200)
    assert honest.statuses() == {200: 40} == polite.statuses()
    assert honest.latency_ms[-1] > 500
    assert np.median(polite.sent_ms) < honest.percentile(0.5)
    assert polite.latency_ms[-1] > 500 > np.median(polite.sent_ms), "the wait was there, and is told when asked for"
    assert honest.throughput <= 51


def test_status_bodies_and_headers_are_sent_and_told() -> None:
    with server() as (url, heard):
        asks = [("GET", "/fine", None), ("POST", "/busy", {"text": "tee"}), ("GET", "/wrong", None)]
        load = offered(url, asks, 500, seed=1, headers={"x-api-key": "k"})
    assert load.status.tolist() == [200, 503, 404] and load.good.tolist() == [True, False, False]
    assert all(b"x-api-key: k\r\n" in one for one in heard)
    assert any(one.endswith(b'\r\n\r\n{"text": "tee"}') and b"application/json" in one for one in heard)
    assert told(load)["refused"] == pytest.approx(1 / 3) == told(load)["failed"]


def test_no_answer_is_no_small_latency() -> None:
    with server() as (url, _):
        load = offered(url, [*get("/fine", 9), *get("/silent", 1)], 100, seed=1, patience=1.5)
    assert load.statuses() == {0: 1, 200: 9} and load.percentile(0.99) == np.inf
    assert np.isfinite(load.percentile(0.5)) and np.isnan(load.latency_ms[-1])
    nobody = offered("http://127.0.0.1:9", get("/fine", 3), 100, seed=1, patience=0.5)
    assert nobody.statuses() == {0: 3} and nobody.throughput == 0


def test_more_than_the_connections_wait_and_their_clock_runs() -> None:
    with server(0.05) as (url, _):
        load = offered(url, get("/fine", 6), 1000, seed=1, arrivals="even", connections=2)
    assert load.late_ms[-1] > 80 and load.latency_ms[-1] > 250


def test_closed_loop_has_so_many_under_way_and_no_more() -> None:
    with server(0.01) as (url, _):
        load = closed(url, get("/fine", 20), 4)
    under_way = [((load.sent <= at) & (at < load.ended)).sum() for at in load.sent]
    assert max(under_way) == 4 and load.statuses() == {200: 20} and np.isnan(load.rate)
    assert np.all(load.scheduled <= load.sent) and np.all(load.latency_ms >= load.sent_ms)


def test_moments_are_the_seeds_own_and_have_the_rate() -> None:
    drawn = moments(20_000, 50, "poisson", 3)
    assert np.array_equal(drawn, moments(20_000, 50, "poisson", 3)) and not np.array_equal(
        drawn, moments(20_000, 50, "poisson", 4)
    )
    gaps = np.diff(drawn)
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03) and gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert moments(3, 10, "even", 0).tolist() == pytest.approx([0, 0.1, 0.2])
    for wrong in ((3, 0.0, "even"), (0, 1.0, "even"), (3, 1.0, "bursts")):
        with pytest.raises(Problem, match="expected at least 1 request"):
            moments(*wrong, 0)
    with pytest.raises(Problem, match="at least one caller"):
        closed("http://127.0.0.1:9", get("/fine", 1), 0)


def planted(latencies: list[float], status: list[int]) -> Load:
    due = np.zeros(len(status))
    return Load(10.0, due, due, np.array(latencies) / 1000, np.array(status), own_cpu=0.0)


def test_percentiles_are_of_what_was_taken() -> None:
    load = planted([*range(1, 101), 0.1], [*[200] * 100, 503])
    assert [load.percentile(share) for share in (0.5, 0.95, 0.99, 0.999)] == pytest.approx([50, 95, 99, 100])
    assert np.isnan(planted([1.0], [503]).percentile(0.5))
    found = percentiles([load, planted([2.0] * 4, [200] * 4), planted([500.0], [200])])["p99"]
    assert (found.median, found.low, found.high) == pytest.approx((99, 2, 500)) and str(found) == "99.0 [2.0, 500.0]"


def test_repeats_and_steps_ask_for_what_they_say() -> None:
    with server() as (url, heard):
        loads = repeated(url, [get("/fine", 3), get("/fine", 4)], 200, seed=1)
        assert [len(one.status) for one in loads] == [3, 4] and len(heard) == 7
        steps = ladder(url, [*get("/fine", 1), *get("/busy", 1)], [50, 100], seconds=0.1, seed=1)
    assert steps.offered.tolist() == [50, 100] and steps.requests.tolist() == [5, 10]
    assert steps.refused.tolist() == [0.4, 0.5] and (steps.failed == 0).all()


def test_the_knee_is_before_the_first_step_that_fails() -> None:
    steps = pd.DataFrame({"offered": [100, 200, 300, 400], "p99": [5.0, 9, 8, 7], "refused": 0.0, "failed": 0.0})
    assert knee(steps, 20) == 400
    assert knee(steps.assign(p99=[5, 30, 8, 7]), 20) == 100  # what comes after a bad step is luck
    assert knee(steps.assign(refused=[0, 0, 0.1, 0]), 20) == 200
    assert np.isnan(knee(steps, 1))


def test_batching_lets_the_encoder_read_together() -> None:
    sizes: list[int] = []

    def encode(texts: list[str]) -> np.ndarray:
        sizes.append(len(texts))
        return np.zeros((len(texts), 2), dtype=np.float32)

    found = batching(encode, ["a", "b"] * 8, [1, 8], callers=8, repeats=1)
    assert found["most together"].tolist() == [1, 8] and max(sizes) == 8 and sizes.count(1) >= 16
    with pytest.raises(Problem, match="texts and sizes"):
        batching(encode, [], [1])
