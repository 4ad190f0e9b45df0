"""Cheap models first, dear ones on what they leave: the order of a cascade, its cost, and which lists need the rest.

Nothing is scored here: each stage's scores come in as a table over the candidates. Stopping inside one encoder is
tune/exits.py. The idea: Wang, Lin and Metzler (2011), "A cascade ranking model for efficient ranked retrieval".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from recutils.tables import Problem

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


def cascade(
    candidates: np.ndarray,
    stages: Sequence[np.ndarray],
    depths: Sequence[int],
    k: int,
    *,
    last_for: np.ndarray | None = None,
) -> np.ndarray:
    """Lists (n_users, k): all candidates in the first stage's order, then each next stage re-orders the best of it.

    candidates: (n_users, c) item rows, -1 for none (always last). stages: tables (n_users, c) of scores; of a later
    stage only the first `depths` places are read, so others may be NaN. depths: one for each stage after the first.
    last_for: (n_users,) bool, whose lists go through the last stage; None means all. Ties by ascending item row.
    Raises Problem on shapes that differ, senseless depths, and a score that is missing where it is read.
    """
    _check(candidates, stages, depths, k)
    order = _sorted(candidates, stages[0], candidates.shape[1])
    for number, (scores, depth) in enumerate(zip(stages[1:], depths, strict=True), start=2):
        aligned = np.take_along_axis(scores, order, axis=1)
        items = np.take_along_axis(candidates, order, axis=1)
        chosen = np.arange(len(order)) if last_for is None or number < len(stages) else np.flatnonzero(last_for)
        moved = _sorted(items[chosen], aligned[chosen], depth)
        order[chosen] = np.take_along_axis(order[chosen], moved, axis=1)
    return np.take_along_axis(candidates, order, axis=1)[:, :k]


def _check(candidates: np.ndarray, stages: Sequence[np.ndarray], depths: Sequence[int], k: int) -> None:
    shapes = {one.shape for one in stages}
    if not stages or shapes != {candidates.shape}:
        raise Problem(f"each stage needs scores of shape {candidates.shape}; got {sorted(shapes)}")
    n = candidates.shape[1]
    if len(depths) != len(stages) - 1 or any(not 1 <= depth <= n for depth in depths):
        raise Problem(
            f"{len(stages)} stages need {len(stages) - 1} depths in 1..{n}, how many each re-orders; got {list(depths)}"
        )
    if not 1 <= k <= n:
        raise Problem(f"k must lie in 1..{n}, the candidates of a list; got {k}")


def _sorted(items: np.ndarray, scores: np.ndarray, depth: int) -> np.ndarray:
    """Places (n, c) that put the first `depth` in order of their scores and leave the others where they are."""
    head, read = items[:, :depth], scores[:, :depth]
    if not np.isfinite(read[head >= 0]).all():
        raise Problem("a stage has no finite score for a candidate that it must order. Score more, or lower its depth.")
    falling = np.where(head >= 0, -np.where(head >= 0, read, 0), np.inf)
    first = np.lexsort((head, falling), axis=1)
    rest = np.tile(np.arange(depth, items.shape[1]), (len(items), 1))
    return np.concatenate([first, rest], axis=1)


def margins(scores: np.ndarray, k: int) -> np.ndarray:
    """How clearly each list ends, (n,): the k-th best score less the next, in deviations of the list's scores.

    A small one means that what is on the list and what is not is nearly a draw: there a dearer stage may matter.
    """
    if not 1 <= k < scores.shape[1]:
        raise Problem(f"k must lie in 1..{scores.shape[1] - 1}, fewer than the candidates; got {k}")
    falling = -np.sort(-scores, axis=1)
    return (falling[:, k - 1] - falling[:, k]) / np.maximum(scores.std(axis=1), 1e-12)


def hits(candidates: np.ndarray, truth: sparse.csr_matrix) -> np.ndarray:
    """Which candidates are relevant: (n_users, c) bool; none where a candidate is -1."""
    rows = np.repeat(np.arange(len(candidates)), candidates.shape[1])
    found = np.asarray(truth[rows, np.maximum(candidates, 0).ravel()]).reshape(candidates.shape) != 0
    return found & (candidates >= 0)


@dataclass(frozen=True, eq=False)
class Mixer:
    """A logistic regression over the stages' scores: what all stages so far say together."""

    fitted: "LogisticRegression"

    def score(self, features: np.ndarray) -> np.ndarray:
        """(n_users, c) from features (n_users, c, n_stages)."""
        n_users, n, wide = features.shape
        return self.fitted.decision_function(features.reshape(-1, wide)).reshape(n_users, n)

    @property
    def weights(self) -> np.ndarray:
        """One weight per stage (n_stages,)."""
        return self.fitted.coef_[0]


def mixer(features: np.ndarray, relevant: np.ndarray) -> Mixer:
    """Fitted on users whom no stage was trained on. features: (n_users, c, n_stages); relevant: (n_users, c) bool.

    Raises Problem when no candidate, or every one, is relevant.
    """
    from sklearn.linear_model import LogisticRegression

    if relevant.all() or not relevant.any():
        raise Problem(f"{int(relevant.sum())} of {relevant.size} candidates are relevant; both kinds are needed.")
    rows = features.reshape(-1, features.shape[2])
    return Mixer(LogisticRegression(C=1.0, max_iter=1000).fit(rows, relevant.ravel()))


def few_of_each(relevant: np.ndarray, users: np.ndarray, n_each: int, rng: np.random.Generator) -> np.ndarray:
    """Training pairs: up to n_each relevant candidates of each user and as many others, (m, 2) of (user, place).

    relevant: (n_users, c) bool. users: rows to take. Users without a relevant candidate are passed over.
    """
    found: list[tuple[int, int]] = []
    for user in users:
        good = rng.permutation(np.flatnonzero(relevant[user]))[:n_each]
        other = rng.permutation(np.flatnonzero(~relevant[user]))[: len(good)]
        found += [(int(user), int(place)) for place in (*good, *other)]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


LAYER_MFLOP = 2 * 12 * 384**2 / 1e6  # a token through a layer of 384 numbers: 12 d^2 products and sums
)  # a token through one layer of 384 numbers: 12 d^2 products and sums, attention apart


def encoder_mflop(tokens: float, layers: float) -> float:
    """Millions of operations for reading one text of so many tokens through so many layers of MiniLM's width."""
    return tokens * layers * LAYER_MFLOP
