"""When workers come and go, that all end, whose log is whose, and that background work gives way."""

import threading
import time
from pathlib import Path

import pytest

from recutils.deploy import background as behind
from recutils.deploy.background import background
from recutils.deploy.elastic import Controller, InFlight, Workers, governed, read_all
from recutils.deploy.feedback import FeedbackLog
from recutils.deploy.load import offered
from recutils.deploy.shelf import Shelf
from recutils.tables import Dataset, Problem
from tests.deploy.test_engine import bundle


def walked(controller: Controller, shares: list[float], workers: int = 1) -> list[int]:
    """Workers after each look, one a second."""
    found = []
    for now, share in enumerate(shares):
        workers = controller.wanted(float(now), workers, share)
        found.append(workers)
    return found


def test_it_grows_at_once_and_shrinks_late() -> None:
    controller = Controller(most=4, grow_above=0.7, shrink_below=0.3, cooldown=3)
    assert walked(controller, [0.5, 0.9, 0.5, 0.2, 0.2, 0.2, 0.2, 0.2]) == [1, 2, 2, 2, 1, 1, 1, 1]


def test_between_the_limits_nothing_happens_and_the_ends_hold() -> None:
    controller = Controller(most=3)
    assert walked(controller, [0.31, 0.69, 0.5, 0.31] * 5, workers=2) == [2] * 20
    assert walked(Controller(most=3), [1.0] * 6) == [2, 3, 3, 3, 3, 3]
    assert walked(Controller(least=1, most=3, cooldown=0), [0.0] * 4, workers=3) == [2, 1, 1, 1]


def test_a_shrunk_pool_does_not_grow_again_under_the_same_load() -> None:
    controller = Controller(most=8, grow_above=0.7, shrink_below=0.34, cooldown=0)
    for load in (0.1, 0.5, 0.9, 1.7, 3.0):  # cores' worth of work
        workers, seen = 1, []
        for now in range(40):
            workers = controller.wanted(float(now), workers, min(1.0, load / workers))
            seen.append(workers)
        assert len(set(seen[20:])) == 1, f"the pool flaps at load {load}: {seen}"


@pytest.mark.parametrize("wrong", [{"least": 0}, {"least": 3, "most": 2}, {"shrink_below": 0.4, "grow_above": 0.7}])
def test_limits_that_would_flap_are_refused(wrong: dict) -> None:
    with pytest.raises(Problem):
        Controller(**wrong)


class Pool:
    """Workers that are only counted."""

    def __init__(self, fails: bool = False) -> None:
        self.n, self.fails = 1, fails

    def __len__(self) -> int:
        return self.n

    port = 0

    def pids(self) -> list[int]:
        return []

    def grow(self) -> None:
        self.n += 1

    def shrink(self) -> None:
        if self.fails:
            raise Problem("cannot end it")
        self.n -= 1


def test_a_governor_acts_and_stops() -> None:
    pool = Pool()
    pool.n = 2
    with governed(pool, Controller(cooldown=0), step=0.01) as log:
        deadline = time.monotonic() + 10
        while pool.n > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert pool.n == 1 and log.rows and log.changes <= 1
    assert not any(thread.name.startswith("_caught") for thread in threading.enumerate())


def test_what_fails_in_a_governor_is_raised() -> None:
    pool = Pool(fails=True)
    pool.n = 2
    deadline = time.monotonic() + 10
    with pytest.raises(Problem, match="cannot end it"), governed(pool, Controller(cooldown=0), step=0.01) as log:
        while not log.failed and time.monotonic() < deadline:
            time.sleep(0.01)


def test_requests_under_way_are_the_open_connections_of_a_port() -> None:
    import os
    import socket

    with socket.socket() as door, socket.socket() as other:
        for one in (door, other):
            one.bind(("127.0.0.1", 0))
            one.listen(8)
        flying = InFlight(door.getsockname()[1])
        assert flying.count([os.getpid()]) == 0 and flying.busy([]) == 0
        calls = [socket.create_connection(one.getsockname()) for one in (door, door, door, other)]
        taken = [door.accept()[0] for _ in range(3)]
        assert flying.count([os.getpid()]) == flying._of(os.getpid()) == 3 and flying._of(2**22 - 1) == 0
        assert flying.busy([os.getpid()]) == 0.75 and flying.busy([1, 2, 3]) == 0.5, "each of three has one under way"
        for one in (*calls, *taken):
            one.close()
        assert flying.count([os.getpid()]) == 0


@pytest.fixture
def shelf(dataset: Dataset, tmp_path: Path) -> Shelf:
    import dataclasses

    shelf = Shelf(tmp_path / "shelf")
    shelf.publish(dataclasses.replace(bundle(dataset), vectors=None, encoder=None))
    return shelf


def test_workers_share_an_address_and_all_end(shelf: Shelf, tmp_path: Path) -> None:
    import psutil

    event = {"user_id": "u1", "item_id": "i1", "kind": "click", "time": "2020-01-01T00:00:00Z"}
    with Workers(shelf, feedback=tmp_path / "log") as workers:
        workers.grow()
        pids = workers.pids()
        assert len(set(pids)) == len(workers) == 2 and workers.ready_seconds > 0
        asks = [("POST", "/v1/feedback", {"events": [event | {"id": f"e{n}"}]}) for n in range(60)]
        found = offered(workers.url, asks, 60.0, seed=0, headers={"connection": "close"})
        assert found.good.all()
        workers.shrink()
        assert len(workers) == 1 and workers.pids() == pids[:1] and not psutil.pid_exists(pids[1])
        again = offered(workers.url, [("GET", "/v1/users/u1/recommendations?k=3", None)] * 5, 50.0, seed=0)
        assert again.good.all() and workers.seconds() > 0
        many = offered(workers.url, [("POST", "/v1/batch", {"user_ids": ["u1"] * 500, "k": 3})] * 8, 50.0, seed=0)
        assert many.good.all(), "one generator plays many callers: the limit for each is not for it"
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert sorted(one["id"] for one in read_all(tmp_path / "log")) == sorted(f"e{n}" for n in range(60))


def test_a_repeated_event_at_another_worker_counts_once(tmp_path: Path) -> None:
    event = {"id": "a", "user": "u", "item": "i", "kind": "click", "time": "2020-01-02"}
    for name, rows in (("writer-001", [event]), ("writer-002", [event, event | {"id": "b", "time": "2020-01-01"}])):
        log = FeedbackLog(tmp_path / name)
        log.append(rows)
        log.close()
    assert [one["id"] for one in read_all(tmp_path)] == ["b", "a"]


def test_background_work_is_done_counted_and_ended(shelf: Shelf) -> None:
    with background(shelf, "nice") as done:
        time.sleep(0.2)
    assert done.people >= behind.BLOCK and done.seconds > 0 and done.waited == 0
    with pytest.raises(Problem, match="manner must be one of"), background(shelf, "polite"):
        pass


def test_it_stands_still_while_a_request_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, over = iter([1, 2, 0, 7]), threading.Event()
    monkeypatch.setattr(behind, "PAUSE", 0.001)
    told = type("Told", (), {"count": lambda *_: next(counts)})()
    assert behind._give_way(told, [1, 2], over) > 0.001
    assert next(counts) == 7, "it goes on at the first quiet look"
    over.set()
    assert behind._give_way(type("Full", (), {"count": lambda *_: 1})(), [1], over) < 1, "it ends when it is over"


def test_a_failing_background_tells_its_words(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="the work in the background failed"), background(Shelf(tmp_path), "nice"):
        pass
