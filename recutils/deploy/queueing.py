"""Servers that come and go, simulated event by event, and what queueing theory says where it has a formula. SIMULATION:
nothing here runs a service (elastic.py does).

One queue, first come first served; a server that was ordered is paid from the order and works after `delay`; one that
is sent away finishes what it does. Policies see what an operator would see: the share of busy time since the last look.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recutils.tables import Interactions, Problem

HOURS = 24


@dataclass(frozen=True)
class Seen:
    """What a policy is told. now: seconds. servers: ordered ones included. busy: 0..1 of the servers that work."""

    now: float
    servers: int
    busy: float


Policy = Callable[[Seen], int]  # -> servers wanted
Rate = Callable[[float], float]  # seconds -> arrivals per second


def erlang_c(load: float, servers: int) -> float:
    """The chance that an arrival must wait in M/M/c (Erlang 1917). load: arrival rate x mean service time, < servers.

    >>> round(erlang_c(0.5, 1), 6)
    0.5
    """
    if not 0 < load < servers:
        raise Problem(f"load must lie between 0 and the number of servers; got {load} for {servers}")
    blocked = 1.0  # Erlang B, by its recursion, which does not overflow
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return servers * blocked / (servers - load * (1 - blocked))


def mean_wait(rate: float, service: float, servers: int) -> float:
    """Mean wait in M/M/c, seconds. rate: arrivals per second; service: mean seconds of one."""
    return erlang_c(rate * service, servers) * service / (servers - rate * service)


def servers_for(rate: float, service: float, wait: float, share: float = 0.99) -> int:
    """The fewest servers with which this share of arrivals waits at most `wait` seconds in M/M/c."""
    servers = max(1, math.floor(rate * service) + 1)
    while erlang_c(rate * service, servers) * math.exp(-(servers / service - rate) * wait) > 1 - share:
        servers += 1
    return servers


def fixed(servers: int) -> Policy:
    """Always the same number."""
    return lambda _: servers


def predictive(forecast: Rate, service: float, wait: float, *, lead: float, margin: float = 1.0) -> Policy:
    """So many as Erlang C asks for the forecast of now + lead, times a margin. It never looks at the load."""
    return lambda seen: servers_for(max(margin * forecast(seen.now + lead), 1e-9), service, wait)


@dataclass(frozen=True, eq=False)
class Simulated:
    """waits: (n,) seconds in the queue. responses: waits and service. server_seconds: paid. most: servers at once."""

    waits: np.ndarray
    responses: np.ndarray
    server_seconds: float
    most: int

    def percentile(self, share: float) -> float:
        """Seconds that this share of the responses does not exceed."""
        return float(np.quantile(self.responses, share))


@dataclass
class _Floor:
    """The servers and the queue at one moment."""

    services: Sequence[float]
    delay: float
    servers: int
    idle: int
    most: int
    tick: float
    step: float
    policy: Policy
    now: float = 0.0
    busy: int = 0
    leaving: int = 0
    paid: float = 0.0
    worked: float = 0.0
    ready: float = 0.0  # seconds of servers that could work
    queue: deque[int] = field(default_factory=deque)
    events: list[tuple[float, int]] = field(default_factory=list)  # (time, 0 a job ends, 1 a server starts)
    began: dict[int, float] = field(default_factory=dict)

    def move(self, to: float) -> None:
        """Let time pass, and count it."""
        step = to - self.now
        working = self.busy + self.idle
        self.paid += (self.servers + self.leaving) * step
        self.worked += self.busy * step
        self.ready += working * step
        self.now = to

    def until(self, moment: float) -> None:
        """All that happens up to a moment: jobs that end, servers that start, looks of the policy."""
        while min(self.tick, self.events[0][0] if self.events else math.inf) <= moment:
            if self.events and self.events[0][0] <= self.tick:
                self.handle()
                continue
            self.move(self.tick)
            self.order(self.policy(Seen(self.now, self.servers, self.look())))
            self.most, self.tick = max(self.most, self.servers), self.tick + self.step
        self.move(moment)

    def handle(self) -> None:
        """The next event."""
        at, kind = heapq.heappop(self.events)
        self.move(at)
        if kind == 0:
            self.busy -= 1
        if kind == 0 and self.leaving:
            self.leaving -= 1
        else:
            self.idle += 1
        self.serve()

    def serve(self) -> None:
        """Idle servers take whoever waits longest."""
        while self.idle and self.queue:
            job = self.queue.popleft()
            self.began[job] = self.now
            self.idle, self.busy = self.idle - 1, self.busy + 1
            heapq.heappush(self.events, (self.now + self.services[job], 0))

    def order(self, wanted: int) -> None:
        """Order servers, or send some away: idle ones at once, busy ones when they are done, starting ones never."""
        for _ in range(max(0, wanted - self.servers)):
            self.servers += 1
            heapq.heappush(self.events, (self.now + self.delay, 1))
        for _ in range(max(0, self.servers - max(1, wanted))):
            if self.idle:
                self.idle -= 1
            elif self.busy > self.leaving:
                self.leaving += 1
            else:
                return
            self.servers -= 1

    def look(self) -> float:
        """Share of busy time since the last look."""
        share = self.worked / self.ready if self.ready else 1.0
        self.worked = self.ready = 0.0
        return share


def simulate(
    arrivals: np.ndarray, services: np.ndarray, policy: Policy, *, start: int = 1, delay: float = 0.0, step: float = 1.0
) -> Simulated:
    """Serve the arrivals (n,), seconds in ascending order, each with its service time (n,).

    start: servers at work at the beginning. delay: from the order of a server to its first request. step: seconds
    between two looks of the policy. Raises Problem for arrivals out of order or other lengths.
    """
    if len(arrivals) != len(services) or not len(arrivals) or (np.diff(arrivals) < 0).any():
        raise Problem(f"expected ascending arrivals, a service time each; got {len(arrivals)} and {len(services)}")
    floor = _Floor(services.tolist(), delay, start, start, most=start, tick=step, step=step, policy=policy)
    for job, moment in enumerate(arrivals.tolist()):
        floor.until(moment)
        floor.queue.append(job)
        floor.serve()
    while floor.busy or floor.queue:
        floor.until(min(floor.events[0][0] if floor.events else math.inf, floor.tick if floor.queue else math.inf))
    waits = np.array([floor.began[job] for job in range(len(arrivals))]) - arrivals
    return Simulated(waits, waits + services, floor.paid, floor.most)


def hourly(events: Interactions, days: int) -> np.ndarray:
    """Events of each hour of the `days` consecutive days with the most events: (days, 24), oldest first, UTC.

    Raises Problem without times or when the data are shorter.
    """
    hour = (events.time.to_numpy().astype("datetime64[h]")).astype(np.int64)
    counts = np.bincount(hour - HOURS * (hour.min() // HOURS))
    counts = np.pad(counts, (0, -len(counts) % HOURS)).reshape(-1, HOURS)
    if len(counts) < days:
        raise Problem(f"{days} days are asked for, and the data span {len(counts)}. Ask for fewer.")
    totals = np.convolve(counts.sum(axis=1), np.ones(days, dtype=np.int64), "valid")
    first = int(totals.argmax())
    return counts[first : first + days]


def rate_of(hours: np.ndarray, hour_seconds: float) -> Rate:
    """Arrivals per second at a moment, linear between the middles of the hours. hours: (n,) rates per second."""
    middles = (np.arange(len(hours)) + 0.5) * hour_seconds
    return lambda now: float(np.interp(now, middles, hours))


def drawn(rate: Rate, seconds: float, most: float, rng: np.random.Generator) -> np.ndarray:
    """Moments of arrivals in 0..seconds at a changing rate of at most `most` per second (Poisson, by thinning)."""
    offered = np.sort(rng.uniform(0, seconds, rng.poisson(most * seconds)))
    kept = rng.random(len(offered)) * most < np.array([rate(moment) for moment in offered])
    return offered[kept]
