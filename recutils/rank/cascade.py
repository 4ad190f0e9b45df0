"""Cheap models first, dear ones on what they leave: the order of a cascade, its cost, and which lists need the rest.

Scores come in as tables over the candidates; only the two cheap stages are made here. Stopping inside one encoder is
tune/exits.py. The idea: Wang, Lin and Metzler (2011), "A cascade ranking model for efficient ranked retrieval".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from recutils.model.ease import EASE
from recutils.rank.blend import standardised
from recutils.rank.top import top_k
from recutils.tables import Interactions, Problem

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression


def two_stages(train: Interactions, vectors: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Candidates of EASE (n_users, n) and their scores (n_users, n, 2): EASE's, and the cosine of each item's text to
    the person's mean text vector, both standardised within the list, so that one mix of weights suits everybody.

    vectors: (n_items, d) of length 1.
    """
    histories = train.matrix()
    scores = EASE(reg=500.0).fit(train).score(histories)
    items = top_k(scores, histories, n)
    near = (train.matrix("binary") @ vectors) @ vectors.T
    each = (np.take_along_axis(one, np.maximum(items, 0), axis=1) for one in (scores, near))
    return items, np.stack([standardised(one) for one in each], axis=2)


def best(candidates: np.ndarray, scores: np.ndarray, depth: int) -> np.ndarray:
    """The `depth` candidates with the highest scores, in their order: what the next stage reads."""
    return np.take_along_axis(candidates, np.argsort(-scores, axis=1, kind="stable")[:, :depth], axis=1)


def placed(candidates: np.ndarray, read: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (n_users, depth) of the items that were read, at these items' places among the candidates; NaN elsewhere.

    >>> placed(np.array([[7, 8, 9]]), np.array([[9, 7]]), np.array([[0.1, 0.2]])).tolist()
    [[0.2, nan, 0.1]]
    """
    same = candidates[:, :, None] == read[:, None, :]
    return np.where(same.any(axis=2), (same * values[:, None, :]).sum(axis=2), np.nan)


def pairs_of(
    people: Mapping[int, str], words: Sequence[str], users: np.ndarray, lists: np.ndarray
) -> tuple[list[str], list[str]]:
    """Every user with every item of the user's list, as two lists of texts, user by user. people: user row -> text."""
    firsts = [people[user] or "unknown" for user, row in zip(users, lists, strict=True) for _ in row]
    return firsts, [words[item] for item in np.asarray(lists).ravel()]


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


def encoder_mflop(tokens: float, layers: float) -> float:
    """Millions of operations for reading one text of so many tokens through so many layers of MiniLM's width."""
    return tokens * layers * LAYER_MFLOP
