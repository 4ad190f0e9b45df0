"""Each half of some labelled rows answered by what the other half taught. Settings chosen so are crossfit.py's."""

from collections.abc import Callable

import numpy as np

Learn = Callable[[np.ndarray, np.ndarray], np.ndarray]  # rows taught, rows asked -> (n_asked, n_classes)


def by_halves(labels: np.ndarray, learn: Learn, seed: int) -> np.ndarray:
    """Each half answered by what the other half taught: probabilities (n, n_classes) for all rows.

    The halves are drawn at random, each class cut in two. learn: (rows taught, rows asked) -> (n_asked, n_classes).
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    place = np.empty(len(labels), dtype=np.int64)
    place[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels))
    halves = [np.flatnonzero(place % 2 == half) for half in (0, 1)]
    tables = learn(halves[0], halves[1]), learn(halves[1], halves[0])
    found = np.empty((len(labels), tables[0].shape[1]))
    found[halves[1]], found[halves[0]] = tables
    return found
