"""Two readings of the same things: how far they agree beyond chance, and which label stands. No models are judged here.

Kappa (Cohen 1960) is the share of agreement above what two readers would reach who hand out their labels blindly, each
with his own shares: 1 is full agreement, 0 what chance gives. Weights (Cohen 1968) let near grades count in part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.evaluate.resample import blocks, counts, seed_of
from recutils.tables import Problem

WEIGHTS = ("none", "linear", "quadratic")
_READERS = 108  # a stream of its own, as in resample.py


@dataclass(frozen=True)
class Agreement:
    """kappa with its interval (things resampled), the share of equal labels, n things, and the weights used."""

    kappa: float
    low: float
    high: float
    share: float
    n: int
    weights: str


def agreement(
    first: Sequence[str],
    second: Sequence[str],
    classes: Sequence[str],
    *,
    weights: str = "none",
    seed: int = 0,
    draws: int = 10_000,
) -> Agreement:
    """How far two readings agree. classes: all labels, in their order where weights are used.

    The interval is the percentile bootstrap's over things. Raises Problem for unequal lengths, labels outside the
    classes, and readings of which each has one and the same label throughout: then chance alone explains all.

    >>> found = agreement("aabb", "aaba", "ab", draws=50)
    >>> found.kappa, found.share
    (0.5, 0.75)
    """
    table = _cells(first, second, classes)
    costs = _costs(len(classes), weights)
    kappa = _kappas(np.bincount(table, minlength=costs.size)[None, :].astype(np.float64), costs)[0]
    if np.isnan(kappa):
        raise Problem("both readers gave one and the same label throughout: agreement beyond chance cannot be told.")
    drawn = np.concatenate([_drawn(table, costs, block, seed_of(seed)) for block in blocks(draws, len(table))])
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Agreement(float(kappa), float(low), float(high), float(np.mean(_equal(first, second))), len(table), weights)


def _equal(first: Sequence[str], second: Sequence[str]) -> list[bool]:
    return [one == other for one, other in zip(first, second, strict=True)]


def _cells(first: Sequence[str], second: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The cell of the table of both readings, row x n_classes + column, of each thing."""
    if len(first) != len(second) or not len(first):
        raise Problem(f"two readings of the same things are needed; got {len(first)} and {len(second)} labels")
    places = {name: place for place, name in enumerate(classes)}
    unknown = sorted({str(label) for label in (*first, *second)} - {str(name) for name in places})
    if unknown:
        raise Problem(f"labels {unknown[:3]} are none of the classes {list(classes)}")
    rows = [places[one] * len(classes) + places[other] for one, other in zip(first, second, strict=True)]
    return np.array(rows, dtype=np.int64)


def _costs(n: int, weights: str) -> np.ndarray:
    """(n * n,) what a pair of labels costs: 0 for equal ones."""
    if weights not in WEIGHTS:
        raise Problem(f"weights must be one of {', '.join(WEIGHTS)}; got {weights!r}")
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(np.float64)
    return {"none": apart > 0, "linear": apart, "quadratic": apart**2}[weights].astype(np.float64).ravel()


def _kappas(tables: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """1 - seen cost / cost by chance of each table (draws, n_classes ** 2); NaN where chance costs nothing."""
    n = round(len(costs) ** 0.5)
    square = tables.reshape(-1, n, n)
    chance = np.einsum("di,dj->dij", square.sum(2), square.sum(1)).reshape(len(tables), -1)
    total = tables.sum(1)
    cost = chance @ costs / total
    return 1 - np.divide(tables @ costs, cost, out=np.full(len(tables), np.nan), where=cost > 0)


def _drawn(table: np.ndarray, costs: np.ndarray, block: slice, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, _READERS, block.start])
    drawn = counts(rng, block.stop - block.start, len(table))
    cells = np.zeros((len(table), len(costs)))
    cells[np.arange(len(table)), table] = 1
    return _kappas(drawn @ cells, costs)


def crossed(first: Sequence[str], second: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """How often each pair of labels was given: a row for each label of the first reading, a column of the second."""
    n = len(classes)
    cells = np.bincount(_cells(first, second, classes), minlength=n * n).reshape(n, n)
    return pd.DataFrame(cells, columns=list(classes)).assign(**{"first reading": list(classes)})[
        ["first reading", *classes]
    ]
