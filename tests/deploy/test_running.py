"""The real service as a process: it is ready when it says so, finishes what is under way, and outlives nobody."""

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest

from recutils.deploy.load import offered
from recutils.deploy.process import environment
from recutils.deploy.running import Running, listening, running
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset, Problem
from tests.conftest import made
from tests.deploy.test_engine import bundle


@pytest.fixture(scope="module")
def planted() -> Dataset:
    events = made()
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(events.n_users)]})
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(events.n_items)], "title": "thing"})
    return Dataset("planted", events, users, items, explicit=True)


@pytest.fixture(scope="module")
def shelf(planted: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    found = Shelf(tmp_path_factory.mktemp("running") / "shelf")
    found.publish(bundle(planted, texts=False))
    return found


@pytest.fixture(scope="module")
def service(shelf: Shelf) -> Iterator[Running]:
    """One for the first two tests; the second of them ends it."""
    with running(shelf) as started:
        yield started


def test_bundles_are_exchanged_under_load_and_none_is_refused(service: Running, shelf: Shelf, planted: Dataset) -> None:
    asks = [("GET", f"/v1/users/u{row % 40}/recommendations?k=5", None) for row in range(60)]
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(offered, service.url, asks, 40, seed=1)
        for note in ("one", "two", "three"):
            folder = shelf.publish(dataclasses.replace(bundle(planted, texts=False), notes=(note,)))
            assert httpx.post(f"{service.url}/admin/reload", timeout=30).json() == {
                "changed": True, "version": folder.name,
            }  # fmt: skip
        load = asking.result()
    assert load.statuses() == {200: 60} and np.isfinite(load.percentile(0.999))


def test_what_is_under_way_is_finished_when_it_is_asked_to_end(service: Running) -> None:
    """A long batch is sent, then SIGTERM comes: the answer is whole, nothing new is taken, the process is gone."""
    assert 0 < service.ready_seconds <= service.whole_seconds and service.memory() > 30 <= service.peak_memory()
    many = {"user_ids": [f"u{row % 40}" for row in range(300)], "k": 30}
    with ThreadPoolExecutor(1) as pool, httpx.Client(base_url=service.url, timeout=30) as client:
        client.get("/health")
        asked = pool.submit(client.post, "/v1/batch", json=many)
        while _in_flight(service) < 2:  # the batch and the question for it
            time.sleep(0.002)
        service.process.send_signal(signal.SIGTERM)
        answer = asked.result()
    assert answer.status_code == 200 and len(answer.json()) == 300
    assert service.stop() == -signal.SIGTERM  # it cleaned up first, then ended by the signal that it was sent
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{service.url}/health")


def _in_flight(service: Running) -> float:
    told = httpx.get(f"{service.url}/metrics").text
    return float(next(line for line in told.splitlines() if line.startswith("recutils_in_flight ")).split()[1])


def test_two_services_share_an_address_and_one_may_go(shelf: Shelf) -> None:
    with listening() as door:
        with running(shelf, shared=door) as first:
            with running(shelf, shared=door) as second:
                assert first.url == second.url and first.process.pid != second.process.pid
            assert httpx.get(f"{first.url}/ready", timeout=30).json()["status"] == "ready"
            assert second.process.poll() is not None


def test_a_service_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(Problem, match="before it was ready: .*nothing is published"), running(tmp_path):
        pass
    assert set(psutil.Process().children(recursive=True)) <= before


STARTER = """
import sys
from pathlib import Path
from recutils.deploy.running import running
with running(Path(sys.argv[1])) as service:
    print(service.process.pid, flush=True)
    sys.stdin.read()
"""


def test_a_service_ends_when_its_starter_is_killed(shelf: Shelf) -> None:
    command = [sys.executable, "-c", STARTER, str(shelf.place)]
    starter = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True)
    try:
        service = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
        service.wait(20)
    finally:
        starter.kill()
        starter.communicate()
    assert not service.is_running()
