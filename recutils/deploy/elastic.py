"""Workers that grow and shrink with the load: several processes of the service on one address. A single one is
running.py, work in the background is background.py, and what two cores cannot show is simulated in queueing.py.

uvicorn's own supervisor (`--workers`) can do it too: it adds a worker on the signal TTIN and drops one on TTOU. It asks
for an application that is imported by name, looks for signals every half second, merges two that come together, and
stands still while a dropped worker ends. Here each worker is the ordinary `recutils serve` on a shared socket, so that
each can be given arguments of its own. /metrics and the rate limits are of one process each: add them up outside.
"""

import datetime
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from recutils.deploy.feedback import read
from recutils.deploy.load import Ask, Load, offered, percentile
from recutils.deploy.queueing import Seen
from recutils.deploy.running import Running, listening, running
from recutils.deploy.shelf import Shelf
from recutils.tables import Problem

MANY = ("--rate", "1e6")  # one generator plays many callers here, so that the limit for each would measure itself
LOOKS = 10  # at the requests under way, for one decision


@dataclass
class Controller:
    """How many workers there should be, from the share of their time that they were busy.

    Above `grow_above` the number grows to what would bring the share to `grow_above`, by one at least; below
    `shrink_below` it shrinks by one, when nothing was changed for `cooldown` seconds. Between the two nothing happens
    (hysteresis). Raises Problem for limits with which a shrunk pool would grow again at once.
    """

    least: int = 1
    most: int = 2
    grow_above: float = 0.7
    shrink_below: float = 0.3
    cooldown: float = 3.0
    _changed: float = field(default=float("-inf"), repr=False)

    def __post_init__(self) -> None:
        """Check the limits."""
        if not 1 <= self.least <= self.most:
            raise Problem(f"expected 1 <= least <= most; got {self.least} and {self.most}")
        smallest = max(self.least, 1) + 1  # pool that can shrink
        if not 0 < self.shrink_below * smallest / (smallest - 1) < self.grow_above < 1:
            raise Problem(
                f"shrink_below {self.shrink_below} and grow_above {self.grow_above} lie too close: {smallest} workers "
                f"at {self.shrink_below} are {smallest - 1} above {self.grow_above}. Lower shrink_below."
            )

    def wanted(self, now: float, workers: int, busy: float) -> int:
        """Workers from now on. now: seconds on any clock that does not go back. busy: 0..1, mean of the workers."""
        wanted = workers
        if busy > self.grow_above:
            wanted = max(workers + 1, round(workers * busy / self.grow_above))
        elif busy < self.shrink_below and now - self._changed >= self.cooldown:
            wanted = workers - 1
        wanted = min(max(wanted, self.least), self.most)
        if wanted != workers:
            self._changed = now
        return wanted

    def policy(self, seen: Seen) -> int:
        """The same decision for the simulation."""
        return self.wanted(seen.now, seen.servers, seen.busy)


class InFlight:
    """Requests under way at a port, those that wait to be accepted included: its open connections.

    Right where a connection carries one request (a balancer that keeps none); a kept connection counts though nobody
    asks. Processor time would be the other signal, but a worker that is starved by its neighbours looks idle by it.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._open = re.compile(rf" [0-9A-F]{{8}}:{port:04X} [0-9A-F]{{8}}:[0-9A-F]{{4}} 01 ".encode())

    def count(self, pids: Sequence[int]) -> int:
        """Of all these processes together; where the system keeps a table of connections, it is read at once."""
        with suppress(OSError):
            return len(self._open.findall(Path("/proc/net/tcp").read_bytes()))
        return sum(map(self._of, pids))

    def _of(self, pid: int) -> int:
        """Of one process, in the slow way; 0 when it is gone."""
        import psutil

        with suppress(psutil.Error):
            found = psutil.Process(pid).net_connections("tcp")
            return sum(one.laddr.port == self.port and one.status == psutil.CONN_ESTABLISHED for one in found)
        return 0

    def busy(self, pids: Sequence[int]) -> float:
        """With n under way for each process, n / (1 + n): the share of its time that such a queue is busy (M/M/1)."""
        n = self.count(pids) / max(1, len(pids))
        return n / (1 + n)


class Workers:
    """Processes of the service on one address, of one bundle shelf. `with` them: all end when the block is left.

    feedback: folder for the logs, or None; each worker writes a folder of its own there, since a log has one writer.
    """

    def __init__(self, shelf: Shelf, *, feedback: Path | None = None, args: Sequence[str] = MANY) -> None:
        self.shelf, self.feedback, self.args = shelf, feedback, tuple(args)
        self._all: list[tuple[Running, ExitStack, float]] = []
        self._number, self._paid = 0, 0.0
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Open the address and start the first worker."""
        self._door = listening()
        try:
            self.grow()
        except BaseException:
            self._door.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End all workers."""
        try:
            while self._all:
                self.shrink()
        finally:
            self._door.close()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def url(self) -> str:
        """Where all of them answer."""
        return self._all[0][0].url

    @property
    def port(self) -> int:
        """The port of that address."""
        return int(self._door.getsockname()[1])

    @property
    def ready_seconds(self) -> float:
        """How long the first worker took until it answered; later ones share its address, where it answers for them."""
        return self._all[0][0].ready_seconds

    def pids(self) -> list[int]:
        """Process ids, oldest first."""
        return [one.process.pid for one, *_ in list(self._all)]

    def grow(self) -> None:
        """Start one more; it takes requests as soon as it has loaded the bundle."""
        self._number += 1
        mine = () if self.feedback is None else ("--feedback", str(self.feedback / f"writer-{self._number:03d}"))
        stack, began = ExitStack(), time.perf_counter()
        found = stack.enter_context(running(self.shelf, args=(*self.args, *mine), shared=self._door))
        with self._lock:
            self._all.append((found, stack, began))

    def shrink(self) -> None:
        """End the newest; it answers what it has begun."""
        with self._lock:
            _, stack, began = self._all.pop()
        stack.close()
        self._paid += time.perf_counter() - began

    def seconds(self) -> float:
        """Worker-seconds paid so far, from the start of each process to its end."""
        now = time.perf_counter()
        with self._lock:
            return self._paid + sum(now - began for *_, began in self._all)


@dataclass
class Log:
    """What a governor did: (seconds since its start, workers, busy share) at each look."""

    rows: list[tuple[float, int, float]] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """How often the number of workers changed."""
        counts = [workers for _, workers, _ in self.rows]
        return sum(a != b for a, b in zip(counts, counts[1:], strict=False))


@contextmanager
def governed(workers: Any, controller: Controller, *, step: float = 0.5) -> Iterator[Log]:
    """A thread that grows and shrinks the workers until the block is left. What fails in it is raised at the end.

    workers: anything with len, port, pids(), grow() and shrink(). step: seconds between two decisions, each from the
    mean of LOOKS looks.
    """
    log, over = Log(), threading.Event()
    thread = threading.Thread(target=_caught, args=(lambda: _govern(workers, controller, log, over, step), log))
    thread.start()
    try:
        yield log
    finally:
        over.set()
        thread.join()
    if log.failed:
        raise log.failed[0]


def _caught(work: Callable[[], None], log: Log) -> None:
    try:
        work()
    except Exception as fault:  # noqa: BLE001 - raised again where the thread was started
        log.failed.append(fault)


def _govern(workers: Any, controller: Controller, log: Log, over: threading.Event, step: float) -> None:
    began, flying, looks = time.perf_counter(), InFlight(workers.port), []
    while not over.wait(step / LOOKS):
        looks.append(flying.busy(workers.pids()))
        if len(looks) < LOOKS:
            continue
        now, share = time.perf_counter() - began, sum(looks) / len(looks)
        looks.clear()
        log.rows.append((now, len(workers), share))
        wanted = controller.wanted(now, len(workers), share)
        for _ in range(wanted - len(workers)):
            workers.grow()
        for _ in range(len(workers) - wanted):
            workers.shrink()


@dataclass(frozen=True, eq=False)
class Trial:
    """What callers met and what it cost. loads: one for each phase; log: empty without a controller."""

    loads: tuple[Load, ...]
    worker_seconds: float
    ready_seconds: float
    log: Log

    def percentile(self, share: float) -> float:
        """Latency, ms, that this share of the requests which were taken does not exceed; no answer is infinitely late.

        Refused ones (503: too many at once) are left out, as in `Load`: read `lost` beside it.
        """
        return percentile(np.concatenate([one.latency_ms[~one.refused] for one in self.loads]), share)

    @property
    def lost(self) -> int:
        """Requests that were refused or never answered."""
        return int(sum((~one.good).sum() for one in self.loads))


def trial(
    shelf: Shelf, phases: Sequence[tuple[Sequence[Ask], float]], *, seed: int, workers: int = 1,
    controller: Controller | None = None, step: float = 0.5,
) -> Trial:  # fmt: skip
    """Offer phase after phase of (requests, rate per second) to workers: a fixed number, or as a controller decides.

    A connection is closed after each answer: kept ones would tie callers to the worker that they met first, and a new
    worker would have nothing to do.
    """
    with Workers(shelf) as pool, ExitStack() as stack:
        ready = pool.ready_seconds
        for _ in range(workers - 1):
            pool.grow()
        time.sleep(ready if workers > 1 else 0.0)  # until the others are at work as well
        log = Log() if controller is None else stack.enter_context(governed(pool, controller, step=step))
        before = pool.seconds()
        loads = tuple(
            offered(pool.url, asks, rate, seed=seed + n, headers={"connection": "close"})
            for n, (asks, rate) in enumerate(phases)
        )
        return Trial(loads, pool.seconds() - before, ready, log)


def read_all(folder: Path) -> list[dict[str, Any]]:
    """The events of all writers under a folder in order of time, each id once (the first that was written).

    A caller who repeats an event may reach another worker, which cannot know it: so ids are compared here, not there.
    """
    found = [event for writer in sorted(folder.glob("writer-*")) for event in read(writer)]
    once: dict[str, dict[str, Any]] = {}
    for event in sorted(found, key=lambda event: datetime.datetime.fromisoformat(event["time"])):
        once.setdefault(event["id"], event)
    return list(once.values())
