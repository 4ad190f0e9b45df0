"""The measurements of 73_deploy_scale, one call each: what workers can do, batch work beside them, a simulated day.

The parts that are measured live in elastic.py, background.py and queueing.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.deploy import queueing
from recutils.deploy.background import background
from recutils.deploy.elastic import Controller, Trial, Workers
from recutils.deploy.load import Ask, closed, offered
from recutils.deploy.shelf import Shelf
from recutils.evaluate.records import Record
from recutils.evaluate.statistics import mean_interval
from recutils.tables import Problem

ONE_REQUEST = {"connection": "close"}  # as behind a balancer: see elastic.trial
CHECKED = ((1, 0.6), (4, 0.7), (8, 0.8))  # servers and the load of each, where theory has a formula
BATCHES = 50  # of waits that follow each other, whose means are nearly independent


def asks(user_ids: np.ndarray, n: int, *, people: int, k: int, rng: np.random.Generator) -> list[Ask]:
    """n requests, each for the lists of several people drawn at random."""
    return [("POST", "/v1/batch", {"user_ids": list(row), "k": k}) for row in rng.choice(user_ids, (n, people))]


@dataclass(frozen=True, eq=False)
class Capacity:
    """What one worker does. rate: requests per second when it is never idle. services: (n,) seconds of a request that
    nobody disturbs. ready: seconds from its start to its first answer.
    """

    rate: float
    services: np.ndarray
    ready: float


def capacity(shelf: Shelf, calls: Sequence[Ask]) -> Capacity:
    """Measure one worker: a warm-up, one caller after the other, then four at once. Raises Problem when it refuses."""
    with Workers(shelf) as workers:
        closed(workers.url, calls[:10], 2, headers=ONE_REQUEST)
        alone = closed(workers.url, calls, 1, headers=ONE_REQUEST)
        full = closed(workers.url, calls, 4, headers=ONE_REQUEST)
        ready = workers.ready_seconds
    if not (alone.good.all() and full.good.all()):
        raise Problem(f"the worker did not answer every request: {alone.statuses()}, {full.statuses()}. Ask for less.")
    return Capacity(full.throughput, alone.latency_ms / 1000, ready)


def told(trials: Mapping[str, Trial]) -> pd.DataFrame:
    """One row for each way to serve the same load: its cost, what callers met, how often the number changed."""
    rows = [
        (name, one.worker_seconds, one.percentile(0.5), one.percentile(0.99), one.lost, one.log.changes)
        for name, one in trials.items()
    ]
    columns = ["workers", "worker-seconds", "p50, ms", "p99, ms", "not answered", "changes"]
    return pd.DataFrame(rows, columns=columns)


def best(trials: Mapping[str, Trial]) -> str:
    """The way that answered best: the fewest lost, then the lowest p99."""
    return min(trials, key=lambda name: (trials[name].lost, trials[name].percentile(0.99)))


def beside(shelf: Shelf, calls: Sequence[Ask], rate: float, manners: Sequence[str], *, seed: int) -> pd.DataFrame:
    """The same requests at one worker beside background work in each manner; "none" is without any.

    Two processes work in the background, one for each core. Columns: background, p50 and p99 in ms, lists per second,
    the share of the time in which the work waited.
    """
    rows = []
    with Workers(shelf) as workers:
        for manner in manners:
            if manner == "none":
                met = offered(workers.url, calls, rate, seed=seed, headers=ONE_REQUEST)
                rows.append((manner, met.percentile(0.5), met.percentile(0.99), 0.0, 0.0))
                continue
            with background(shelf, manner, pids=workers.pids(), port=workers.port, processes=2) as done:
                met = offered(workers.url, calls, rate, seed=seed, headers=ONE_REQUEST)
            speed, waited = done.people / (done.seconds / 2), done.waited / done.seconds
            rows.append((manner, met.percentile(0.5), met.percentile(0.99), speed, waited))
    columns = ["background", "p50, ms", "p99, ms", "lists per second", "share of time waited"]
    return pd.DataFrame(rows, columns=columns)


def against_erlang(notebook: str, *, seed: int, n: int = 30_000) -> tuple[pd.DataFrame, list[Record]]:
    """Mean waits of the simulator beside M/M/c's formula, in units of a service, with records.

    Waits that follow each other are alike, so the interval is that of the means of BATCHES long stretches.
    """
    rows, records = [], []
    for servers, used in CHECKED:
        rng, rate = np.random.default_rng(seed), servers * used
        moments, services = rng.exponential(1 / rate, n).cumsum(), rng.exponential(1.0, n)
        waits = queueing.simulate(moments, services, queueing.fixed(servers), start=servers).waits
        mean = mean_interval(np.array([part.mean() for part in np.array_split(waits, BATCHES)]), seed)
        rows.append((servers, used, queueing.mean_wait(rate, 1.0, servers), mean.mean, mean.low, mean.high))
        records.append(
            Record(
                notebook=notebook, dataset="simulated M/M/c", protocol="queue", split="none", metric="mean_wait",
                model="simulation", group=f"{servers} servers", value=mean.mean, low=mean.low, high=mean.high, n=n,
                seed=seed,
            )
        )  # fmt: skip
    columns = ["servers", "load of each", "wait by Erlang", "wait simulated", "low", "high"]
    return pd.DataFrame(rows, columns=columns), records


@dataclass(frozen=True, eq=False)
class Day:
    """A simulated day. hours: (n_days, 24) of the data, the last one is played, the others make the forecast.

    worker: whose service times are resampled, and whose start every server needs. peak: servers' worth of work in the
    fullest hour. hour_seconds: that stand for an hour.
    """

    hours: np.ndarray
    worker: Capacity
    peak: int
    hour_seconds: float
    seed: int

    @property
    def service(self) -> float:
        """Mean seconds of a request."""
        return float(self.worker.services.mean())

    def _rate(self, hours: np.ndarray) -> queueing.Rate:
        return queueing.rate_of(self.peak / self.service / self.hours[-1].max() * hours, self.hour_seconds)

    def arrivals(self) -> np.ndarray:
        """Moments of the requests, seconds."""
        rng, most = np.random.default_rng(self.seed), self.peak / self.service
        return queueing.drawn(self._rate(self.hours[-1]), 24 * self.hour_seconds, most, rng)

    def reactive(self, limit: float) -> queueing.Policy:
        """The controller with another limit."""
        cooldown = self.hour_seconds / 12
        made = Controller(most=2 * self.peak, grow_above=limit, shrink_below=limit / 2.5, cooldown=cooldown)
        return made.policy

    def predictive(self, margin: float) -> queueing.Policy:
        """What Erlang asks for, so that 99 of 100 wait no longer than a mean service, times a margin in the rate."""
        forecast = self._rate(self.hours[:-1].mean(axis=0))
        return queueing.predictive(forecast, self.service, self.service, lead=self.worker.ready, margin=margin)

    def play(self, policy: queueing.Policy, *, delay: float | None = None) -> queueing.Simulated:
        """The day under a policy; delay: another than the worker's start."""
        moments = self.arrivals()
        services = np.random.default_rng(self.seed + 1).choice(self.worker.services, len(moments))
        late = self.worker.ready if delay is None else delay
        return queueing.simulate(moments, services, policy, start=max(1, self.peak // 2), delay=late)

    def policies(self) -> dict[str, queueing.Policy]:
        """Fixed numbers, reactive limits and predictive margins that are compared."""
        numbers = sorted({max(1, self.peak // 2), max(1, self.peak - 2), self.peak, self.peak + 2})
        made = {f"fixed {n}": queueing.fixed(n) for n in numbers}
        made |= {f"reactive {limit}": self.reactive(limit) for limit in (0.5, 0.65, 0.8)}
        return made | {f"predictive x{margin}": self.predictive(margin) for margin in (1.0, 1.5, 2.0)}

    def table(self) -> pd.DataFrame:
        """One row for each policy: server-hours (of the day that is played), p99 in ms, most servers at once."""
        found = {name: self.play(policy) for name, policy in self.policies().items()}
        rows = [
            (name, one.server_seconds / self.hour_seconds, 1000 * one.percentile(0.99), one.most)
            for name, one in found.items()
        ]
        return pd.DataFrame(rows, columns=["policy", "server-hours", "p99, ms", "most servers"])
