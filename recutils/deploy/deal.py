"""Runs of traffic dealt from noted requests, visit by visit, quiet or with a fault, and what a window says of them at
each scrape. Rules are not evaluated here (drills.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recutils.deploy.alerts import Scrape, gauges
from recutils.deploy.drift import LEAST, Feature, Reference
from recutils.deploy.window import FEATURES, Noted
from recutils.tables import Problem


@dataclass(frozen=True)
class Plan:
    """How runs are cut. window: requests in it; step: between two scrapes; quiet, spoilt: scrapes before and after a
    fault begins (the window was filled before them).
    """

    window: int
    step: int
    quiet: int
    spoilt: int

    @property
    def scrapes(self) -> int:
        """Scrapes of a run."""
        return self.quiet + self.spoilt

    @property
    def requests(self) -> int:
        """Requests of a run, those that fill the window included."""
        return self.window + self.step * (self.scrapes - 1)

    @property
    def fault(self) -> int:
        """Number of the first spoilt request."""
        return self.window + self.step * (self.quiet - 1)


def dealt(visits: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) positions of requests: whole visits drawn with replacement, each in its order. visits: (n_requests,).

    Quiet by construction: the same people, nothing changes with time, and what belongs together stays together.
    """
    if len(visits) == 0:
        raise Problem("there is no request to deal from; replay more traffic.")
    order = np.argsort(visits, kind="stable")
    starts = np.flatnonzero(np.diff(visits[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    found: list[np.ndarray] = []
    while sum(map(len, found)) < n:
        drawn = rng.integers(len(starts), size=max(1, int(n / sizes.mean())))
        found += [order[starts[one] : starts[one] + sizes[one]] for one in drawn]
    return np.concatenate(found)[:n]


def scrapes(run: Noted, reference: Reference, n_items: int, plan: Plan) -> list[list[tuple[str, str, float]]]:
    """The samples of the window at each scrape of a run, as Window.samples gives them (a test compares the two)."""
    ends = np.arange(plan.window, len(run) + 1, plan.step)
    people, cold, known, unknown = (
        _within(getattr(run, name), ends, plan) for name in ("person", "cold", "known", "unknown")
    )
    moved = {name: _moved(run, name, reference, ends, plan) for name in reference.features}
    found = []
    for place, end in enumerate(ends):
        shown = np.bincount(run.shown[end - plan.window : end].ravel() + 1, minlength=n_items + 1)[1:]
        asked = known[place] + unknown[place]
        rows = [("recutils_window_requests", "", float(plan.window))]
        rows += [("recutils_cold_share", "", float(cold[place] / people[place]))] if people[place] else []
        rows += [("recutils_unknown_item_share", "", float(unknown[place] / asked))] if asked else []
        rows.append(("recutils_coverage_share", "", float((shown > 0).sum() / n_items)))
        for name, (psi, ks) in moved.items():
            if np.isfinite(psi[place]):
                rows += [("recutils_drift_psi", name, float(psi[place])), ("recutils_drift_ks", name, float(ks[place]))]
        found.append(rows)
    return found


def _within(column: np.ndarray, ends: np.ndarray, plan: Plan) -> np.ndarray:
    """Sums over the window before each end: (n_ends, ...)."""
    total = np.concatenate([np.zeros((1, *column.shape[1:]), np.int64), np.cumsum(column, axis=0, dtype=np.int64)])
    return total[ends] - total[ends - plan.window]


def _moved(run: Noted, name: str, reference: Reference, ends: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    feature = reference.features[name]
    cells = feature.cells(run.rows[:, FEATURES.index(name)])
    counts = _within(cells[:, None] == np.arange(len(feature.counts)), ends, plan)
    return feature.excess(counts), feature.ks(counts)


@dataclass(frozen=True, eq=False)
class Group:
    """Requests of some people: noted, their visits, and the same requests noted under each fault."""

    noted: Noted
    visits: np.ndarray
    faults: Mapping[str, Noted]


@dataclass(frozen=True, eq=False)
class Ground:
    """What runs are made of. noted, visits, people: of all requests. places: (n_items, 3) of the items item_ids."""

    noted: Noted
    visits: np.ndarray
    people: np.ndarray
    item_ids: np.ndarray
    places: np.ndarray
    plan: Plan

    def group(self, positions: np.ndarray, faults: Mapping[str, Noted] | None = None) -> Group:
        """The requests at these positions. faults: the same requests noted under each fault."""
        return Group(self.noted.only(positions), self.visits[positions], faults or {})

    def reference(self, positions: np.ndarray) -> Reference:
        """What these requests were like; a feature with too few values is left out."""
        rows = self.noted.rows[positions]
        able = [place for place in range(len(FEATURES)) if np.isfinite(rows[:, place]).sum() >= LEAST]
        features = {FEATURES[place]: Feature.of(rows[:, place]) for place in able}
        return Reference(features, self.item_ids, self.places)

    def quiet(self, group: Group, reference: Reference, n: int, seed: int) -> list[list[Scrape]]:
        """n quiet runs of a group, each as its scrapes."""
        rng = np.random.default_rng([seed, 51])
        runs = (group.noted.only(dealt(group.visits, self.plan.requests, rng)) for _ in range(n))
        return [self._scraped(run, reference) for run in runs]

    def struck(
        self, group: Group, reference: Reference, fault: tuple[str, float], n: int, seed: int
    ) -> list[list[Scrape]]:
        """n runs with a fault (its name and strength), each as its scrapes."""
        rng = np.random.default_rng([seed, 52])
        return [self._scraped(spoilt(group, *fault, self.plan, rng), reference) for _ in range(n)]

    def _scraped(self, run: Noted, reference: Reference) -> list[Scrape]:
        return [gauges(one) for one in scrapes(run, reference, len(self.places), self.plan)]


def spoilt(group: Group, fault: str, strength: float, plan: Plan, rng: np.random.Generator) -> Noted:
    """One run in which from `plan.fault` on a share `strength` of the visits meets a fault."""
    order = dealt(group.visits, plan.requests, rng)
    visits = np.unique(group.visits[order])
    struck = visits[rng.random(len(visits)) < strength]
    hit = np.isin(group.visits[order], struck) & (np.arange(len(order)) >= plan.fault)
    good, bad = group.noted.only(order), group.faults[fault].only(order)
    columns = {
        name: np.where(hit.reshape(-1, *[1] * (part.ndim - 1)), vars(bad)[name], part)
        for name, part in vars(good).items()
    }
    return Noted(**columns)
