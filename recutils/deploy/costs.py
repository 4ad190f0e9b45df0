"""From measured seconds to curves, a break-even and a plan on paper. It measures nothing (growth.py, spark_jobs.py)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from recutils.tables import Problem

INT, FLOAT = 4, 4  # bytes


@dataclass(frozen=True)
class PowerLaw:
    """seconds = constant * n ** exponent, fitted to logarithms; low, high: 95 % interval of the exponent.

    The interval is that of the fit and takes the law for granted: it says nothing of what happens beyond the points.
    """

    constant: float
    exponent: float
    low: float
    high: float
    points: int
    _spread: float
    _mean: float
    _around: float

    def at(self, n: float) -> tuple[float, float, float]:
        """Seconds at n and the ends of the 95 % interval of one further measurement there."""
        x = float(np.log(n))
        reach = stats.t.ppf(0.975, self.points - 2) * self._spread
        reach *= np.sqrt(1 + 1 / self.points + (x - self._mean) ** 2 / self._around)
        middle = float(np.log(self.constant)) + self.exponent * x
        return tuple(float(np.exp(end)) for end in (middle, middle - reach, middle + reach))  # type: ignore[return-value]


def power_law(n: Sequence[float], seconds: Sequence[float]) -> PowerLaw:
    """The power law through measured points. Raises Problem for fewer than three, equal ones, or none above 0.

    >>> round(power_law([10, 100, 1000], [2, 200, 20000]).exponent, 6)
    2.0
    """
    x, y = _checked(n, seconds, 3)
    x, y = np.log(x), np.log(y)
    found = stats.linregress(x, y)
    left = y - found.intercept - found.slope * x
    spread = float(np.sqrt(left @ left / (len(x) - 2)))
    around = float(((x - x.mean()) ** 2).sum())
    reach = float(stats.t.ppf(0.975, len(x) - 2) * spread / np.sqrt(around))
    slope = float(found.slope)
    constant = float(np.exp(found.intercept))
    return PowerLaw(constant, slope, slope - reach, slope + reach, len(x), spread, float(x.mean()), around)


@dataclass(frozen=True)
class Line:
    """seconds = fixed + per_event * n, neither below 0."""

    fixed: float
    per_event: float

    def at(self, n: float) -> float:
        """Seconds at n."""
        return self.fixed + self.per_event * n


def line(n: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fixed and growing cost from measured points, with relative errors weighing alike (small points count too).

    >>> found = line([100, 1000, 10000], [2.0, 11.0, 101.0])
    >>> round(found.fixed, 6), round(found.per_event, 6)
    (1.0, 0.01)
    """
    x, y = _checked(n, seconds, 2)
    scale = x.mean()
    found, _ = optimize.nnls(np.column_stack([1 / y, x / scale / y]), np.ones(len(x)))
    return Line(float(found[0]), float(found[1] / scale))


def _checked(n: Sequence[float], seconds: Sequence[float], least: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(n, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if x.shape != y.shape or len(np.unique(x)) < least or not (x > 0).all() or not (y > 0).all():
        raise Problem(f"expected {least} or more different sizes with seconds above 0; got {x.tolist()}, {y.tolist()}")
    return x, y


@dataclass(frozen=True)
class BreakEven:
    """Where a cluster becomes the faster one.

    events: the size from which on it is, on the measured cores; inf for never. cores: how many it would need, were its
    speed-up perfect, before an event costs it less time than the one machine; its fixed cost comes on top.
    """

    events: float
    cores: float


def stated(even: BreakEven, one: Line, cluster: Line, measured: float) -> str:
    """A break-even in words. measured: the largest size that was measured on both."""
    lines = [
        f"{name}: {found.fixed:.2f} s + {1e6 * found.per_event:.2f} s for a million events"
        for name, found in (("One machine", one), ("cluster", cluster))
    ]
    if cluster.per_event <= 0 or one.per_event <= 0:
        return "; ".join(lines) + ". These sizes are too small to see what an event costs; measure larger ones."
    where = "at no size" if np.isinf(even.events) else f"from {even.events:,.0f} events on"
    where += ", which lies beyond what was measured" if measured < even.events < np.inf else ""
    return (
        f"{'; '.join(lines)}. **On these cores the cluster is the faster one {where}.** With a perfect speed-up it "
        f"would need more than {even.cores:.1f} cores before an event costs less time there, and then more events to "
        "earn back its start."
    )


def break_even(one: Line, cluster: Line, cores: int) -> BreakEven:
    """Compare a line of one machine with that of a cluster measured on `cores` cores.

    >>> break_even(Line(0, 2e-6), Line(10, 1e-6), cores=2).events
    10000000.0
    >>> break_even(Line(0, 1e-6), Line(10, 4e-6), cores=2)
    BreakEven(events=inf, cores=8.0)
    """
    gain = one.per_event - cluster.per_event
    fixed = max(0.0, cluster.fixed - one.fixed)
    cores_needed = cores * cluster.per_event / one.per_event if one.per_event > 0 else np.inf
    return BreakEven(fixed / gain if gain > 0 else np.inf, float(cores_needed))


@dataclass(frozen=True)
class Plan:
    """What the plan on paper assumes. events_each: of a person. machine_gb: memory of one machine.

    overhead: how many times the bare bytes a job needs in practice. network: GB per second between machines. price: of
    a core for an hour, in any currency.
    """

    events: float = 1e9
    events_each: float = 100.0
    items: float = 1e6
    factors: int = 64
    iterations: int = 15
    cores: int = 64
    machine_cores: int = 16
    machine_gb: float = 64.0
    overhead: float = 3.0
    network: float = 1.0
    price: float = 0.05

    @property
    def people(self) -> float:
        """How many there are."""
        return self.events / self.events_each


def on_paper(plan: Plan, core_seconds: float, measured_factors: int) -> pd.DataFrame:
    """The plan step by step: step, arithmetic, value, unit. Nothing of it is measured but `core_seconds`.

    core_seconds: of the cluster's fit, for one event and one iteration with `measured_factors` factors. Work on an
    event grows with the square of the factors (the sum of outer products of MLlib's normal equations).
    """
    wide = core_seconds * (plan.factors / measured_factors) ** 2
    pairs = 2 * plan.events * 2 * INT  # both directions, two numbers a pair
    people, items = (rows * plan.factors * FLOAT for rows in (plan.people, plan.items))
    sent = _shuffled(plan, plan.people) + _shuffled(plan, plan.items)
    machines = int(np.ceil(max(plan.cores / plan.machine_cores, plan.overhead * (pairs + people + items) / (
        plan.machine_gb * 1e9))))  # fmt: skip
    work = wide * plan.events * plan.iterations
    wires = sent * plan.iterations / (machines * plan.network * 1e9)
    hours = (work / plan.cores + wires) / 3600
    paid = max(plan.cores, machines * plan.machine_cores)
    rows = [
        ("people", f"{plan.events:.0e} events / {plan.events_each:g} each", plan.people / 1e6, "million"),
        ("events, bytes", "2 directions x events x 2 numbers x 4 bytes", pairs / 1e9, "GB"),
        ("factors of people", f"people x {plan.factors} x 4 bytes", people / 1e9, "GB"),
        ("factors of items", f"{plan.items:.0e} x {plan.factors} x 4 bytes", items / 1e9, "GB"),
        ("machines", f"the larger of {plan.cores} / {plan.machine_cores} cores and {plan.overhead:g} x bytes / "
         f"{plan.machine_gb:g} GB", machines, "machines"),
        ("shuffle", "each factor once to every core that needs it, both directions, one iteration", sent / 1e9, "GB"),
        ("work", f"{wide:.2e} s x events x {plan.iterations} iterations", work / 3600, "core hours"),
        ("on the wire", f"shuffle x {plan.iterations} / (machines x {plan.network:g} GB/s)", wires / 3600, "hours"),
        ("wall time", f"work / {plan.cores} cores + wire", hours, "hours"),
        ("price", f"{paid} cores x wall time x {plan.price:g}", paid * hours * plan.price, "currency"),
        ("EASE instead", "items x items x 8 bytes, before the inversion", plan.items**2 * 8 / 1e12, "TB"),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["step", "arithmetic", "value", "unit"])


def _shuffled(plan: Plan, rows: float) -> float:
    """Bytes that the factors of one side take on their way in a half iteration: to every core, or as often as met."""
    copies = min(plan.cores, plan.events / rows)
    return rows * copies * plan.factors * FLOAT
