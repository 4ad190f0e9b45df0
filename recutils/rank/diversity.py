"""Varied lists out of scored candidates: MMR, DPP, sums of distances. Tables: kernels.py; tastes, tails: intents.py.

Laws of every re-ranker here and in intents.py, for `given` (Candidates) and `trade` in 0..1:
- trade 0 gives the candidates in their order; trade 1 asks for variety alone;
- all users are worked on together, 512 at a time, and none changes another's list;
- equal worth goes to the candidate that stands first; a list that runs out of candidates is filled with -1;
- in_order=True puts the chosen items back into the candidates' order: the set stays, and so does its variety.
A similarity is a table (n_items, n_items), symmetric, 1 on its diagonal, finite where candidates look it up; the
distance of two items is 1 - similarity.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.rank.top import top_k
from recutils.tables import Problem

BLOCK = 512  # users at a time: 512 x 100 candidates x 10 factors take 2 MB
EMPTY = 1e-5  # variance left of a candidate that the chosen ones describe fully; log of less says nothing
NOT_PSD = -0.01  # variance below zero by more than rounding
Worth = Callable[[], np.ndarray]  # what each candidate is worth now, (n_users, n)
Learn = Callable[[np.ndarray], None]  # told the places (n_users,) just chosen
Start = Callable[["Candidates", slice], tuple[Worth, Learn]]  # a block of users, and which of all users they are


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a re-ranker chooses from.

    items: (n_users, n) item rows, best first, each at most once; -1 fills the end, and a user may have none at all.
    relevance: (n_users, n) float32 in 0..1, how good each is; `candidates` scales scores so.
    """

    items: np.ndarray
    relevance: np.ndarray

    def __post_init__(self) -> None:
        if self.items.ndim != 2 or self.items.shape != self.relevance.shape:
            raise Problem(f"items and relevance must be (n_users, n); got {self.items.shape}, {self.relevance.shape}")
        there = self.relevance[self.items >= 0]
        if not ((there >= 0) & (there <= 1)).all():
            raise Problem("relevance must lie in 0..1 for every candidate; scale it with diversity.unit_scale first.")

    def __len__(self) -> int:
        return len(self.items)

    def only(self, users: np.ndarray | slice) -> "Candidates":
        """The candidates of some users: rows, a mask or a slice."""
        return Candidates(self.items[users], self.relevance[users])

    def first(self, k: int) -> np.ndarray:
        """The lists (n_users, k) of the first stage itself."""
        return _padded(self, k).items[:, :k]


def candidates(scores: np.ndarray, seen: sparse.csr_matrix | None, n: int) -> Candidates:
    """The n best unseen items of each user with their scores, scaled to 0..1 within the user. n is cut to all items."""
    items = top_k(scores, seen, min(n, scores.shape[1]))
    found = np.take_along_axis(np.asarray(scores, np.float32), np.maximum(items, 0), axis=1)
    return Candidates(items, unit_scale(found, items >= 0))


def unit_scale(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Scores (n_users, n) as 0..1 within each user: 1 for the best, 0 for the worst and where not `there`.

    >>> unit_scale(np.array([[8.0, 6.0, 4.0], [3.0, 3.0, 9.0]]), np.array([[1, 1, 1], [1, 1, 0]]) == 1).tolist()
    [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    low = np.where(there, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(there, scores, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    known = there & (high > low)
    span = np.where(high > low, high - low, 1)
    return np.divide(scores - low, span, out=np.zeros(scores.shape, np.float32), where=known, casting="unsafe")


def mmr(given: Candidates, similarity: np.ndarray, trade: float, k: int, *, in_order: bool = False) -> np.ndarray:
    """Maximal marginal relevance: lists (n_users, k) in the order of choice.

    Each step takes the largest (1 - trade) x relevance - trade x similarity to the nearest item chosen so far; a
    similarity below 0 counts as 0. Source: Carbonell & Goldstein 1998, lambda = 1 - trade.
    """

    def start(given: Candidates, users: slice) -> tuple[Worth, Learn]:
        nearest = np.zeros(given.items.shape, np.float32)

        def learn(chosen: np.ndarray) -> None:
            np.maximum(nearest, beside(given, similarity, chosen), out=nearest)

        return lambda: (1 - trade) * given.relevance - trade * nearest, learn

    return reranked(given, trade, k, start, in_order)


def spread(given: Candidates, similarity: np.ndarray, trade: float, k: int, *, in_order: bool = True) -> np.ndarray:
    """Sum of distances: lists (n_users, k) that make (1 - trade) x mean relevance + trade x mean pair distance large.

    Each step takes what adds most to the sum, over all items chosen, where MMR looks at the nearest one alone. Source:
    Borodin, Lee & Ye 2012, max-sum diversification; the factor 1/2 of their greedy rule is part of `trade` here.
    """

    def start(given: Candidates, users: slice) -> tuple[Worth, Learn]:
        total = np.zeros(given.items.shape, np.float32)

        def learn(chosen: np.ndarray) -> None:
            np.add(total, 1 - beside(given, similarity, chosen), out=total)

        return lambda: (1 - trade) * given.relevance + trade * 2 / max(k - 1, 1) * total, learn

    return reranked(given, trade, k, start, in_order)


def dpp(given: Candidates, kernel: np.ndarray, trade: float, k: int, *, in_order: bool = True) -> np.ndarray:
    """Greedy determinantal point process: lists (n_users, k) whose items span a large volume.

    Each step takes the largest (1 - trade) x relevance + trade x log of the variance that the chosen items leave of a
    candidate, which is the growth of log det; one Cholesky column a step. kernel: positive semi-definite. Candidates
    without variance left (copies) come last, by relevance. Source: Chen, Zhang & Zhou 2018, algorithm 1 and eq. 18
    (their theta is 1 - trade), where quality is a factor of the kernel; here it stays outside the logarithm, so that
    nothing can overflow. Raises Problem when a variance falls clearly below zero.
    """

    def start(given: Candidates, users: slice) -> tuple[Worth, Learn]:
        rows = np.arange(len(given))
        left = kernel[given.items, given.items].astype(np.float32)
        factors = np.zeros((k, *given.items.shape), np.float32)
        step = iter(range(k))

        def learn(chosen: np.ndarray) -> None:
            n = next(step)
            known = np.einsum("mu,mun->un", factors[:n, rows, chosen], factors[:n])
            root = np.sqrt(np.maximum(left[rows, chosen], EMPTY))[:, None]
            used_up = left[rows, chosen][:, None] <= EMPTY
            factors[n] = np.where(used_up, 0, (beside(given, kernel, chosen) - known) / root)
            np.subtract(left, factors[n] ** 2, out=left)
            left[rows, chosen] = 0
            _check_variance(left[given.items >= 0])

        return lambda: (1 - trade) * given.relevance + trade * np.log(np.maximum(left, EMPTY)), learn

    return reranked(given, trade, k, start, in_order)


def _check_variance(left: np.ndarray) -> None:
    """Raise Problem when a variance is negative by more than rounding."""
    if left.size and left.min() < NOT_PSD:
        raise Problem(
            f"the kernel is not positive semi-definite: a variance came out at {left.min():.3f}. Use cosines of "
            "vectors or a weighted sum of such tables, or mend the table with kernels.psd."
        )


def widest(given: Candidates, similarity: np.ndarray, k: int, *, rounds: int = 30) -> np.ndarray:
    """Pure diversification: lists (n_users, k) of large mean pair distance, whatever the relevance.

    `spread` with trade 1, then the best single exchange again and again, as long as one helps; at most `rounds`. Ends
    where no single exchange helps, which may be a little below the best list there is.
    """
    lists = spread(given, similarity, 1.0, k)
    better = [exchanged(given.only(users), similarity, lists[users], rounds=rounds) for users in blocks(len(given))]
    return np.concatenate([lists[:0], *better])


def exchanged(given: Candidates, similarity: np.ndarray, lists: np.ndarray, *, rounds: int = 30) -> np.ndarray:
    """`lists` after exchanges of one item for one candidate, the best one each time, while the distance grows.

    Lists with a -1 stay as they are: they hold all that there is. The order is that of the candidates.
    """
    given = _padded(given, lists.shape[1])
    places = _places(given, lists)
    active = np.flatnonzero((places >= 0).all(axis=1))
    for _ in range(rounds if len(active) else 0):
        gain = _exchange_gain(given.only(active), similarity, places[active])
        best = gain.reshape(len(active), -1).argmax(axis=1)
        helps = gain.reshape(len(active), -1)[np.arange(len(active)), best] > 1e-5
        active, best = active[helps], best[helps]
        if len(active) == 0:
            break
        out, into = np.divmod(best, given.items.shape[1])
        places[active, out] = into
    return lists_of(given, places, in_order=True)


def _exchange_gain(given: Candidates, similarity: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n_users, k, n): growth of the sum of distances when place k's item leaves and candidate n comes."""
    chosen = _taken(given, places)
    between = 1 - similarity[chosen[:, :, None], given.items[:, None, :]]
    total = between.sum(axis=1)  # the item's own row holds its distance to itself, 0
    gain = total[:, None, :] - np.take_along_axis(total, places, axis=1)[:, :, None] - between
    gain[np.broadcast_to((given.items < 0)[:, None, :], gain.shape)] = -np.inf
    np.put_along_axis(gain, np.broadcast_to(places[:, None, :], (*places.shape, places.shape[1])), -np.inf, axis=2)
    return gain


def reranked(given: Candidates, trade: float, k: int, start: Start, in_order: bool) -> np.ndarray:
    """Lists (n_users, k) chosen greedily. start: tells, for a block of users, what candidates are worth and how that
    changes with a choice. Raises Problem for a trade outside 0..1 and k below 1.
    """
    if not 0 <= trade <= 1:
        raise Problem(f"trade must lie in 0..1, 0 for relevance alone and 1 for variety alone; got {trade}")
    if k < 1:
        raise Problem(f"k must be at least 1 item; got {k}")
    made = [_block(_padded(given.only(users), k), users, k, start, in_order) for users in blocks(len(given))]
    return np.concatenate([np.empty((0, k), np.int32), *made]).astype(np.int32)


def blocks(n_users: int) -> list[slice]:
    """Slices of at most BLOCK users."""
    return [slice(first, first + BLOCK) for first in range(0, n_users, BLOCK)]


def _block(given: Candidates, users: slice, k: int, start: Start, in_order: bool) -> np.ndarray:
    """The lists of one block."""
    worth, learn = start(given, users)
    rows, alive = np.arange(len(given)), given.items >= 0
    places = np.full((len(given), k), -1)
    for step in range(k):
        best = np.where(alive, worth(), -np.inf).argmax(axis=1)
        places[:, step] = np.where(alive[rows, best], best, -1)
        alive[rows, best] = False
        learn(best)
    return lists_of(given, places, in_order)


def beside(given: Candidates, table: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The table's numbers (n_users, n) between each user's item at place `chosen` and the candidates."""
    item = given.items[np.arange(len(given)), chosen]
    found = table[item[:, None], given.items]  # -1 looks up the last item: such places are never chosen
    if np.isnan(found[given.items >= 0]).any():
        raise Problem("the table holds NaN for a pair of candidates; kernels.likeness gives such pairs a middle value.")
    return found


def _padded(given: Candidates, k: int) -> Candidates:
    """At least k places, the new ones empty."""
    lacking = max(k - given.items.shape[1], 0)
    if lacking == 0:
        return given
    pad = ((0, 0), (0, lacking))
    return Candidates(np.pad(given.items, pad, constant_values=-1), np.pad(given.relevance, pad))


def lists_of(given: Candidates, places: np.ndarray, in_order: bool) -> np.ndarray:
    """Item rows (n_users, k) at places of the candidates; -1 stays -1, at the end."""
    if in_order:
        n = given.items.shape[1]
        places = np.sort(np.where(places < 0, n, places), axis=1)
        places = np.where(places == n, -1, places)
    return np.where(places < 0, -1, _taken(given, places))


def _taken(given: Candidates, places: np.ndarray) -> np.ndarray:
    """Items at places; -1 reads the first one."""
    return np.take_along_axis(given.items, np.maximum(places, 0), axis=1)


def _places(given: Candidates, lists: np.ndarray) -> np.ndarray:
    """Where each listed item stands among the candidates, (n_users, k); -1 for -1."""
    found = (given.items[:, None, :] == lists[:, :, None]) & (lists >= 0)[:, :, None]
    return np.where(found.any(axis=2), found.argmax(axis=2), -1)
