"""A labelled task made ready for tuning once: its rows for each seed, and their states. Nothing is trained here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recutils.data.labelled import SHARES, Labelled, drawn, parts
from recutils.data.pairs import Pairs, article_pairs, movie_pairs
from recutils.tables import Dataset
from recutils.tune.kept import digest
from recutils.tune.mixing import Scenario
from recutils.tune.states import Base, States, states_of

SMALL = 2000  # below so many rows, a cut by FEW leaves enough to judge on
FEW = (0.35, 0.15, 0.5)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task with its rows. train: for each seed its own draw of labelled rows. valid, test: rows; people: those of the
    groups of the whole training part. Rows not named here have no states."""

    name: str
    found: Labelled
    train: tuple[np.ndarray, ...]
    valid: np.ndarray
    test: np.ndarray
    people: np.ndarray
    known: np.ndarray
    states: States

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.found.classes)

    def at(self, rows: np.ndarray) -> States:
        """The states of these rows, in this order."""
        return self.states.only(np.searchsorted(self.known, rows))

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """Their labels."""
        return self.found.labels[rows]

    def texts(self, rows: np.ndarray) -> list[str]:
        """Their texts, pairs joined, for counting words."""
        found = self.found
        return [f"{found.texts[row]} {found.seconds[row]}" if found.seconds else found.texts[row] for row in rows]

    def groups(self, rows: np.ndarray) -> np.ndarray | None:
        """Their groups, such as people, or None."""
        return None if self.found.groups is None else self.found.groups[rows]

    def scenario(self, seed: int) -> Scenario:
        """What is trained with the labels of one seed, and stopped by the validation rows."""
        train, valid = self.train[seed], self.valid
        return Scenario(
            self.name, self.at(train), self.labels(train), self.at(valid), self.labels(valid), self.n_classes
        )

    def told(self, seed: int) -> str:
        """A digest of what one seed trains on and is stopped by."""
        rows = np.concatenate([self.train[seed], self.valid])
        return digest(self.texts(rows), self.labels(rows))


def prepared(base: Base, name: str, found: Labelled, *, labels: int, n_seeds: int, valid: int, test: int) -> Prepared:
    """Cut a task, draw its labels for each seed, and run the frozen layers over the rows that will be needed.

    labels, valid, test: at most so many rows of each part. Tasks below SMALL rows are cut by FEW instead of SHARES.
    """
    cut = parts(found, FEW if len(found) < SMALL else SHARES)
    train = tuple(drawn(found, cut.train, min(labels, len(cut.train)), seed) for seed in range(n_seeds))
    rows = {"valid": cut.valid[:valid], "test": cut.test[:test]}
    known = np.unique(np.concatenate([*train, *rows.values()]))
    states = states_of(base, [found.texts[row] for row in known], _seconds(found, known))
    people = np.unique(found.groups[cut.train]) if found.groups is not None else np.empty(0, dtype=np.int64)
    return Prepared(name, found, train, rows["valid"], rows["test"], people, known, states)


def windows(data: Dataset, n: int) -> Pairs:
    """At most n pairs of a short history and one more item: is it liked, where there are ratings with times.

    Else: was it read, or drawn at random from the items not met? Easy, since much-read items are known by their titles.
    """
    n = min(n, len(data.interactions) // 2) // 2 * 2
    if data.explicit and data.interactions.has_time:
        return movie_pairs(data, n, history=4)
    return article_pairs(data, n, history=2, negatives="uniform")


def _seconds(found: Labelled, rows: np.ndarray) -> Sequence[str]:
    return [found.seconds[row] for row in rows] if found.seconds else ()
