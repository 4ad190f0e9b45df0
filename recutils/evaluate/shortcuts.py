"""Two short cuts of published evaluations and what they do to results: sampled negatives, and tuning on the test part.

Nothing here is a metric to report; metrics over all candidates are in metrics.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.evaluate.statistics import compare_all
from recutils.tables import Problem


def negatives(
    seen: sparse.csr_matrix, targets: np.ndarray, n: int | None, rng: int | np.random.Generator
) -> np.ndarray:
    """Items drawn for each user, without replacement, from those neither seen nor the target: (n_users, n) int32.

    targets: (n_users,) the item that each user chose. n: None takes all there are. -1 fills where fewer are left.
    """
    n_users, n_items = seen.shape
    if np.shape(targets) != (n_users,) or (n is not None and n < 1):
        raise Problem(f"targets must name one item of each of {n_users} users, n at least 1; got {targets!r} and {n}")
    keys = np.random.default_rng(rng).random((n_users, n_items), dtype=np.float32)
    coordinates = seen.tocoo()
    keys[coordinates.row, coordinates.col] = 2.0
    keys[np.arange(n_users), targets] = 2.0
    n = n_items if n is None else min(n, n_items)
    drawn = np.argpartition(keys, n - 1, axis=1)[:, :n].astype(np.int32)
    return np.where(np.take_along_axis(keys, drawn, axis=1) < 2, drawn, -1)


def places(scores: np.ndarray, targets: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The place of each user's target among the drawn items, 1 is best, (n_users,); ties by ascending item row.

    scores: (n_users, n_items). drawn: (n_users, n) item rows, -1 is no item.

    >>> places(np.array([[0.5, 0.9, 0.1, 0.5]]), np.array([3]), np.array([[0, 1, 2]])).tolist()
    [3]
    """
    own = np.take_along_axis(scores, np.asarray(targets)[:, None], axis=1)
    other = np.take_along_axis(scores, np.maximum(drawn, 0), axis=1)
    ahead = (other > own) | ((other == own) & (drawn < np.asarray(targets)[:, None]))
    return 1 + (ahead & (drawn >= 0)).sum(axis=1)


def gain(place: np.ndarray, k: int) -> np.ndarray:
    """nDCG@k of a user with one relevant item on a place (any shape): 1 / log2(place + 1), 0 beyond k."""
    return np.where(place <= k, 1 / np.log2(np.asarray(place) + 1.0), 0.0)


def reversed_pairs(exact: np.ndarray, sampled: np.ndarray) -> np.ndarray:
    """Which pairs of models stand in the opposite order: (..., n_pairs) bool, pairs as in `numpy.triu_indices(n, 1)`.

    exact: (n_models,), sampled: (..., n_models). Pairs that are equal in either are not reversed.
    """
    first, second = np.triu_indices(len(exact), 1)
    return np.sign(exact[first] - exact[second]) * np.sign(sampled[..., first] - sampled[..., second]) < 0


def sampled_boards(
    scores: Mapping[str, np.ndarray],
    seen: sparse.csr_matrix,
    targets: np.ndarray,
    sizes: Sequence[int],
    *,
    k: int,
    draws: int,
    rng: int | np.random.Generator,
) -> dict[int, np.ndarray]:
    """Mean nDCG@k of each model against n sampled negatives: n -> (draws, n_models). All models meet the same items.

    scores: model -> (n_users, n_items). One drawing of negatives holds the smaller ones.
    """
    if not sizes or min(sizes) < 1 or draws < 1:
        raise Problem(f"sizes must name numbers of negatives and draws be at least 1; got {list(sizes)} and {draws}")
    generator = np.random.default_rng(rng)
    boards = {n: np.empty((draws, len(scores))) for n in sizes}
    for draw in range(draws):
        drawn = generator.permuted(negatives(seen, targets, max(sizes), generator), axis=1)
        for column, own in enumerate(scores.values()):
            for n, board in boards.items():
                board[draw, column] = gain(places(own, targets, drawn[:, :n]), k).mean()
    return boards


def reversals(
    exact: Mapping[str, np.ndarray], boards: Mapping[int, np.ndarray], *, seed: int, draws: int
) -> tuple[pd.DataFrame, int]:
    """How often sampling turns pairs of models round, one row for each number of negatives; and how many are clear.

    exact: model -> (n_users,) in the full ranking; boards: from `sampled_boards`, models in the same order. A pair is
    clear when the paired interval of its exact difference lies off zero. Columns: negatives; pairs and clear pairs, the
    shares over drawings and pairs that are reversed; winner, the share of drawings with another winner.
    """
    columns, means = list(exact.values()), np.array([values.mean() for values in exact.values()])
    if len(columns) < 2:
        raise Problem(f"two models make a pair; got {list(exact)}")
    pairs = {
        place: (columns[place[0]], columns[place[1]]) for place in zip(*np.triu_indices(len(means), 1), strict=True)
    }
    clear = np.array([one.low > 0 or one.high < 0 for one in compare_all(pairs, seed, draws=draws).values()])
    rows = []
    for n, board in boards.items():
        wrong = reversed_pairs(means, board)
        of_clear = float(wrong[:, clear].mean()) if clear.any() else 0.0
        rows.append((n, float(wrong.mean()), of_clear, float((board.argmax(axis=1) != means.argmax()).mean())))
    return pd.DataFrame(rows, columns=["negatives", "pairs", "clear pairs", "winner"]), int(clear.sum())


@dataclass(frozen=True, eq=False)
class Tuned:
    """What tuning on the test part reports, and what is true of it, in many partings of the users in two halves.

    sizes: how many settings were tried. reported: (draws, n_sizes) the best setting's mean on the half it was chosen
    on. honest: the same setting's mean on the other half. fair: on the first half, the setting chosen on the other.
    """

    sizes: tuple[int, ...]
    reported: np.ndarray
    honest: np.ndarray
    fair: np.ndarray

    @property
    def optimism(self) -> np.ndarray:
        """(n_sizes,) the mean of reported minus honest."""
        return (self.reported - self.honest).mean(axis=0)

    @property
    def advantage(self) -> np.ndarray:
        """(draws, n_sizes) never negative: what choosing on the test part adds to the figure on the same test users."""
        return self.reported - self.fair


def tuned_on_test(
    values: np.ndarray, sizes: Sequence[int], rng: int | np.random.Generator, *, n_users: int | None = None, draws: int
) -> Tuned:
    """Choose the best of m settings on one half of the users, read it there and on the other half; many times.

    values: (n_users, n_settings) per-user metric, finite. sizes: the m, each drawn anew from the settings, one drawing
    nested in the next. n_users: users in each half, as many as there are for None. Equal means go to the first drawn.
    Raises Problem when the halves would overlap or m exceeds the settings.
    """
    values = np.asarray(values, dtype=np.float64)
    half = len(values) // 2 if n_users is None else n_users
    if values.ndim != 2 or not np.isfinite(values).all() or not 1 <= 2 * half <= len(values):
        raise Problem(f"values must be finite, (users, settings), with 2 x {half} users; got shape {values.shape}")
    if draws < 1 or not sizes or min(sizes) < 1 or max(sizes) > values.shape[1]:
        raise Problem(
            f"sizes must lie in 1..{values.shape[1]} (the settings), draws above 0; got {list(sizes)}, {draws}"
        )
    generator = np.random.default_rng(rng)
    found = np.empty((3, draws, len(sizes)))
    for draw in range(draws):
        users, order = generator.permutation(len(values)), generator.permutation(values.shape[1])
        here, there = (values[part].mean(axis=0)[order] for part in (users[:half], users[half : 2 * half]))
        best = [int(here[:m].argmax()) for m in sizes]
        rival = [int(there[:m].argmax()) for m in sizes]
        found[:, draw] = here[best], there[best], here[rival]
    return Tuned(tuple(sizes), *found)


def tuned_table(found: Mapping[int, Tuned]) -> pd.DataFrame:
    """One row for each number of test users, at the most settings tried: means over the partings.

    Columns: test users, reported, honest, optimism, unfair advantage, in 1 of 20 (its 95 % quantile).
    """
    rows = [
        (n, *(part[:, -1].mean() for part in (one.reported, one.honest)), one.optimism[-1], one.advantage[:, -1].mean())
        + (np.quantile(one.advantage[:, -1], 0.95),)
        for n, one in found.items()
    ]
    columns = ["test users", "reported", "honest", "optimism", "unfair advantage", "in 1 of 20"]
    return pd.DataFrame(rows, columns=columns)
