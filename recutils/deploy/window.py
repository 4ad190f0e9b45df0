"""The last requests as numbers, in arrays of fixed size: what is noted on the way, what is read from it at a scrape.

One request costs a few microseconds and no memory. No name, text or id is kept. Prometheus' side is in telemetry.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from recutils.deploy.drift import LEAST, Reference
from recutils.deploy.engine import MEANING, PERSONAL, POPULAR, Answer

FEATURES = ("length", "taste_1", "taste_2", "taste_3", "score", "cosine")
SIZE = 1000  # requests in the window
SHOWN = 10  # places of a list that count as shown
Sample = tuple[str, str, float]  # name of a gauge, its feature or "", value


@dataclass
class Window:
    """A ring of the newest requests.

    rows: (size, len(FEATURES)) float32, NaN where a feature does not apply: length is log2(1 + items of the history),
    taste_* the history's mean place (drift.coordinates), score the best one of a personal list, cosine the best one of
    a list found by meaning. person: 1 list for a person or liked items, 0 any other. cold: 1 where such a list knew
    nothing and was the popular one. known, unknown: items that were named or remembered, and those not in the
    catalogue. shown: (size, SHOWN) item rows, -1 for none.
    """

    size: int = SIZE
    n: int = 0
    rows: np.ndarray = field(init=False)
    person: np.ndarray = field(init=False)
    cold: np.ndarray = field(init=False)
    known: np.ndarray = field(init=False)
    unknown: np.ndarray = field(init=False)
    shown: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        """Make room, once."""
        self.rows = np.full((self.size, len(FEATURES)), np.nan, np.float32)
        self.person, self.cold = np.zeros(self.size, np.int8), np.zeros(self.size, np.int8)
        self.known, self.unknown = np.zeros(self.size, np.int32), np.zeros(self.size, np.int32)
        self.shown = np.full((self.size, SHOWN), -1, np.int32)

    def note(self, answer: Answer, places: np.ndarray | None) -> None:
        """Take a request in; the oldest falls out. places: (n_items, 3) of the reference, or None without one."""
        at, person = self.n % self.size, answer.how in (PERSONAL, POPULAR)
        row, seen = self.rows[at], answer.seen
        row[:] = np.nan
        if person:
            row[0] = np.log2(1 + len(seen))
        if person and len(seen) and places is not None:
            row[1:4] = places[seen].sum(axis=0) / len(seen)
        if answer.scores and answer.how in (PERSONAL, MEANING):
            row[4 if answer.how == PERSONAL else 5] = answer.scores[0]
        self.person[at], self.cold[at] = person, answer.how == POPULAR
        self.known[at], self.unknown[at] = len(seen), answer.unknown
        self.shown[at] = -1
        self.shown[at, : min(SHOWN, len(answer.items))] = answer.items[:SHOWN]
        self.n += 1

    @property
    def filled(self) -> int:
        """Requests in the window."""
        return min(self.n, self.size)

    def newest(self) -> "Noted":
        """The requests in the window, oldest first, as copies."""
        order = (np.arange(self.n - self.filled, self.n)) % self.size
        parts = (self.rows, self.person, self.cold, self.known, self.unknown, self.shown)
        return Noted(*(part[order] for part in parts))

    def samples(self, reference: Reference | None, n_items: int) -> list[Sample]:
        """Every gauge of the window; none but the number of requests before there are LEAST."""
        found: list[Sample] = [("recutils_window_requests", "", float(self.filled))]
        return found if self.filled < LEAST else found + list(self._figures(reference, n_items))

    def _figures(self, reference: Reference | None, n_items: int) -> Iterator[Sample]:
        here = slice(0, self.filled)
        people, asked = self.person[here].sum(), (self.known[here] + self.unknown[here]).sum()
        if people:
            yield "recutils_cold_share", "", float(self.cold[here].sum() / people)
        if asked:
            yield "recutils_unknown_item_share", "", float(self.unknown[here].sum() / asked)
        yield "recutils_coverage_share", "", float((np.bincount(self.shown[here].ravel() + 1)[1:] > 0).sum() / n_items)
        for name, one in reference.features.items() if reference else ():
            counts = one.count(self.rows[here, FEATURES.index(name)])
            if counts.sum() >= LEAST:
                yield "recutils_drift_psi", name, float(one.excess(counts))
                yield "recutils_drift_ks", name, float(one.ks(counts))


@dataclass(frozen=True, eq=False)
class Noted:
    """Requests in order, column by column, as in Window."""

    rows: np.ndarray
    person: np.ndarray
    cold: np.ndarray
    known: np.ndarray
    unknown: np.ndarray
    shown: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, chosen: np.ndarray) -> "Noted":
        """The requests at these positions, in that order."""
        return Noted(*(part[chosen] for part in vars(self).values()))
