"""Load on a running service from a process beside it: open loop (what users do) and closed loop (what most tools do).

The generator's process is load_client.py; figures over repeats and rates are load_report.py. No service is started here
(running.py).
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from recutils.deploy.load_client import NO_ANSWER
from recutils.deploy.process import fresh
from recutils.tables import Problem

PATIENCE = 10.0  # seconds from its scheduled moment after which a request counts as not answered
CONNECTIONS = 256  # that the generator opens at most; more requests wait for one, and their clock runs
REFUSED = (429, 503)  # too many requests of one caller, or of all
Ask = tuple[str, str, Any]  # method, path with query, and a body for JSON or None


@dataclass(frozen=True, eq=False)
class Load:
    """What became of n requests, in the order in which they were due.

    rate: requests offered per second, NaN for a closed loop without a pace. scheduled, sent, ended: (n,) seconds since
    the start; sent and ended are NaN where that never happened. status: (n,) int, 0 for no answer in time. own_cpu:
    seconds of processor time that the generator took: near the whole duration, it was itself the bottleneck.
    """

    rate: float
    scheduled: np.ndarray
    sent: np.ndarray
    ended: np.ndarray
    status: np.ndarray
    own_cpu: float

    @cached_property
    def latency_ms(self) -> np.ndarray:
        """(n,) from the *scheduled* moment to the last byte of the answer; NaN without one."""
        return 1000 * (self.ended - self.scheduled)

    @cached_property
    def sent_ms(self) -> np.ndarray:
        """(n,) from the moment of *sending*: what a closed loop reports, which leaves out the wait before it."""
        return 1000 * (self.ended - self.sent)

    @cached_property
    def late_ms(self) -> np.ndarray:
        """(n,) how late the generator sent: waits for a free connection, its own slowness, the clock's step."""
        return 1000 * (self.sent - self.scheduled)

    @property
    def good(self) -> np.ndarray:
        """(n,) bool: answered with a status below 400."""
        return (self.status > NO_ANSWER) & (self.status < 400)

    @property
    def seconds(self) -> float:
        """From the start to the last answer, or to the last moment that was due."""
        return float(np.nanmax(np.concatenate([self.ended, self.scheduled, [1e-9]])))

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return float(self.good.sum() / self.seconds)

    @property
    def refused(self) -> np.ndarray:
        """(n,) bool: turned away, so that no list was made."""
        return np.isin(self.status, REFUSED)

    def statuses(self) -> dict[int, int]:
        """How many of each status; 0 for no answer."""
        return dict(sorted(Counter(self.status.tolist()).items()))

    def percentile(self, share: float, of: np.ndarray | None = None) -> float:
        """The latency in ms that this share (0..1) of the requests that were taken does not exceed: see `percentile`.

        Taken: all but the refused. of: other times (n,) than the latency.
        """
        return percentile((self.latency_ms if of is None else of)[~self.refused], share)


def percentile(times: np.ndarray, share: float) -> float:
    """The smallest of the times (n,) that this share (0..1) of them does not exceed; NaN of none.

    A missing time (no answer) counts as infinitely late, so that losing requests cannot make the figure better.
    """
    ordered = np.sort(np.nan_to_num(times, nan=np.inf))
    return float(ordered[max(0, int(np.ceil(share * len(ordered))) - 1)]) if len(ordered) else np.nan


def offered(
    url: str, requests: Sequence[Ask], rate: float, *, seed: int, arrivals: str = "poisson",
    headers: Mapping[str, str] | None = None, connections: int = CONNECTIONS, patience: float = PATIENCE,
) -> Load:  # fmt: skip
    """Send the requests at `rate` per second, each at its moment whether or not earlier ones were answered (open loop).

    arrivals: "poisson" (independent callers: intervals exponential) or "even". Ends at the latest `patience` seconds
    after the last scheduled moment. Raises Problem for a rate that is not above 0 and for a generator that failed.
    """
    due = moments(len(requests), rate, arrivals, seed)
    job = {"due": due.tolist(), "callers": 0, "connections": connections}
    return _run(job, url, requests, rate=rate, patience=patience, headers=headers)


def closed(
    url: str, requests: Sequence[Ask], callers: int, *, rate: float | None = None, seed: int = 0,
    headers: Mapping[str, str] | None = None, patience: float = PATIENCE,
) -> Load:  # fmt: skip
    """Send them by `callers` who each wait for their answer before they ask again (closed loop).

    rate: the pace that they try to keep, requests per second over all; None: as fast as they are answered. Whoever is
    kept waiting sends later than planned, and `sent_ms` does not tell: that is coordinated omission.
    """
    if callers < 1:
        raise Problem(f"a closed loop has at least one caller; got {callers}")
    due = [] if rate is None else moments(len(requests), rate, "even", seed).tolist()
    job = {"due": due, "callers": callers, "connections": callers}
    return _run(job, url, requests, rate=rate, patience=patience, headers=headers)


def moments(n: int, rate: float, arrivals: str, seed: int) -> np.ndarray:
    """(n,) seconds at which n requests are due. Raises Problem for a wrong rate or kind, and for no requests."""
    if not (rate > 0 and n > 0 and arrivals in ("poisson", "even")):
        raise Problem(
            f"expected at least 1 request, a rate above 0 and arrivals 'poisson' or 'even'; got {n} requests, rate "
            f"{rate}, arrivals {arrivals!r}"
        )
    if arrivals == "even":
        return np.arange(n) / rate
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, n))


def _run(
    job: dict[str, Any], url: str, requests: Sequence[Ask], *, rate: float | None, patience: float,
    headers: Mapping[str, str] | None,
) -> Load:  # fmt: skip
    job |= {"url": url, "requests": list(requests), "headers": dict(headers or {}), "patience": patience}
    last = job["due"][-1] if job["due"] else patience * len(requests) / job["callers"]
    limit = last + patience * (1 + 3 * bool(job["callers"])) + 30
    told = fresh(
        "recutils.deploy.load_client", given=json.dumps(job), seconds=limit, what="the load generator",
        cure=f"Is the service at {url} running?",
    )  # fmt: skip
    return _load(json.loads(told), rate)


def _load(told: dict[str, Any], rate: float | None) -> Load:
    times = {name: np.array(told[name], dtype=np.float64) for name in ("scheduled", "sent", "ended")}
    status = np.array(told["status"], dtype=np.int64)
    return Load(rate=np.nan if rate is None else float(rate), status=status, own_cpu=told["own_cpu"], **times)
