"""Figures of load: percentiles over repeats, latency against rate, where it saturates, what batching brings.

Nothing is sent here but through load.py. Seconds are costs: they go to a run's tables, never into its records.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from recutils.deploy.batcher import Batcher
from recutils.deploy.load import Ask, Load, offered
from recutils.deploy.timing import in_turn
from recutils.tables import Problem

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True)
class Spread:
    """The median over repeats and the smallest and largest of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:,.1f} [{self.low:,.1f}, {self.high:,.1f}]"


def spread(values: Sequence[float]) -> Spread:
    """Over repeats. An infinite value (requests without an answer) stays to be seen."""
    return Spread(float(np.median(values)), float(np.min(values)), float(np.max(values)))


def repeated(
    url: str, asks: Sequence[Sequence[Ask]], rate: float, *, seed: int, headers: Mapping[str, str] | None = None
) -> list[Load]:
    """One open-loop load after the other, the n-th of them with the n-th requests and moments of its own."""
    return [offered(url, own, rate, seed=seed + number, headers=headers) for number, own in enumerate(asks)]


def percentiles(loads: Sequence[Load]) -> dict[str, Spread]:
    """p50 to p99.9 in ms from the scheduled moment, over the repeats.

    A percentile needs requests: with 1,000 in a repeat, p99.9 is the slowest but one and tells of little else.
    """
    return {name: spread([load.percentile(share) for load in loads]) for name, share in SHARES.items()}


def latencies(loads: Mapping[str, Sequence[Load]]) -> pd.DataFrame:
    """One row for each kind of load, its repeats summed up: percentiles in ms as "median [lowest, highest]".

    lost: requests of all repeats that got no good answer. late ms: how late the generator sent, p99 of the worst repeat
    (counted in the percentiles). own cpu: the share of one processor that the generator took, at most.
    """
    return pd.DataFrame([{"question": name, **_summed(own)} for name, own in loads.items()])


def _summed(loads: Sequence[Load]) -> dict[str, Any]:
    lost = sum(int((~one.good).sum()) for one in loads)
    row: dict[str, Any] = {"per s": loads[0].rate, "requests": len(loads[0].status), "lost": lost}
    row |= {f"{name} ms": str(found) for name, found in percentiles(loads).items()}
    late = max(float(np.nanpercentile(one.late_ms, 99)) for one in loads)
    return row | {"late ms": round(late, 1), "own cpu": round(max(one.own_cpu / one.seconds for one in loads), 3)}


def told(load: Load) -> dict[str, Any]:
    """One load as a row: rates per second, latencies in ms, shares of the requests offered."""
    failed = ~load.good & ~load.refused
    row = {"offered": load.rate, "requests": len(load.status), "answered": load.throughput}
    row |= {name: load.percentile(share) for name, share in SHARES.items()}
    row |= {"refused": float(load.refused.mean()), "failed": float(failed.mean())}
    return row | {"own cpu": load.own_cpu / load.seconds}


def ladder(url: str, asks: Sequence[Ask], rates: Sequence[float], *, seconds: float, seed: int) -> pd.DataFrame:
    """Latency against load: one row for each rate, each held for so many seconds, the requests taken in turn."""
    return pd.DataFrame(list(_steps(url, asks, rates, seconds, seed)))


def _steps(
    url: str, asks: Sequence[Ask], rates: Sequence[float], seconds: float, seed: int
) -> Iterator[dict[str, Any]]:
    for number, rate in enumerate(rates):
        n = max(1, round(rate * seconds))
        yield told(offered(url, [asks[place % len(asks)] for place in range(n)], rate, seed=seed + number))


def knee(steps: pd.DataFrame, most_ms: float) -> float:
    """The highest rate of a ladder up to which every step kept p99 within `most_ms` and answered all; NaN for none.

    >>> steps = pd.DataFrame({"offered": [100, 200, 400], "p99": [5, 9, 80], "refused": 0.0, "failed": 0.0})
    >>> knee(steps, 20)
    200.0
    """
    ordered = steps.sort_values("offered")
    kept = (ordered.p99 <= most_ms) & (ordered.refused == 0) & (ordered.failed == 0)
    fine = ordered.offered[kept.cummin()]
    return float(fine.max()) if len(fine) else float("nan")


def draw_tail(ax: "Axes", loads: Mapping[str, Sequence[Load]]) -> None:
    """How slow one request in so many is, all repeats together: a line for each kind of load, both axes logarithmic."""
    for name, own in loads.items():
        waits = np.sort(np.concatenate([np.nan_to_num(one.latency_ms, nan=np.inf) for one in own]))
        ax.plot(len(waits) / np.arange(len(waits), 0, -1), waits, label=name, marker="")
    ax.set(xscale="log", yscale="log", xlabel="one request in ... is slower than this", ylabel="latency, ms")
    ax.set_xticks([2, 10, 100, 1000], ["2 (p50)", "10 (p90)", "100 (p99)", "1,000 (p99.9)"])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend()


def draw_ladder(ax: "Axes", steps: pd.DataFrame, most_ms: float) -> None:
    """p99 and p50 against the rate offered, with the share refused where some were, and a line at `most_ms`."""
    ax.plot(steps.offered, steps[["p99", "p50"]], label=["p99", "p50"])
    ax.axhline(most_ms, color="#888888", linestyle=":", marker="", label=f"{most_ms:g} ms")
    for one in steps[steps.refused > 0].itertuples():
        place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 8}
        ax.annotate(f"{one.refused:.0%}\nrefused", (one.offered, one.p99), **place)
    ax.set(yscale="log", xlabel="requests offered per second", ylabel="latency of what was not refused, ms")
    ax.margins(y=0.2)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(loc="upper left")


def batching(
    encode: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str], sizes: Sequence[int], *,
    callers: int = 32, repeats: int = 5,
) -> pd.DataFrame:  # fmt: skip
    """Texts per second that an encoder reads when so many callers ask at once, for each largest size of a batch.

    The sizes take turns within each repeat, so that a change of the machine's load meets all. One row a size: median,
    lowest and highest of the repeats. Raises Problem without texts.
    """
    if not texts or not sizes:
        raise Problem(f"batching is measured on texts and sizes; got {len(texts)} and {len(sizes)}")
    speeds = len(texts) / in_turn({size: partial(_asked, encode, texts, size, callers) for size in sizes}, repeats)
    rows = [(size, *vars(spread(speeds[size])).values()) for size in sizes]
    return pd.DataFrame(rows, columns=["most together", "texts per s", "lowest", "highest"])


def _asked(encode: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str], size: int, callers: int) -> None:
    """All texts asked of one batcher by so many callers at once."""
    batcher = Batcher(encode, most=size)

    async def caller(own: Sequence[str]) -> None:
        for text in own:
            await batcher.vector(text)

    async def everybody() -> None:
        await asyncio.gather(*[caller(texts[number::callers]) for number in range(callers)])

    try:
        with ThreadPoolExecutor(1) as other:  # a notebook's own thread has a loop already
            other.submit(lambda: asyncio.run(everybody())).result()
    finally:
        batcher.close()
