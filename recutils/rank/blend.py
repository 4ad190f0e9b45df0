"""One score from several models'. The models come fitted; who judges the shares is told by whoever asks to climb."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.rank.top import Scorer
from recutils.tables import Problem


@dataclass(frozen=True, eq=False)
class Blend:
    """The weighted sum of several models' scores, each first standardised within the history: mean 0, deviation 1.

    models: name -> fitted model. shares: name -> its weight, 0 or more. Scores that are all equal become 0.
    Raises Problem when the names differ or no share is above 0.
    """

    models: Mapping[str, Scorer]
    shares: Mapping[str, float]

    def __post_init__(self) -> None:
        if set(self.models) != set(self.shares):
            raise Problem(f"each model needs one share; models {sorted(self.models)}, shares {sorted(self.shares)}")
        if min(self.shares.values(), default=0) < 0 or not sum(self.shares.values()) > 0:
            raise Problem(f"shares must be 0 or more and one above 0; got {dict(self.shares)}")

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores (n_histories, n_items) float32, higher is better. Models with share 0 are not asked."""
        asked = [name for name, share in self.shares.items() if share > 0]
        return sum(self.shares[name] * standardised(self.models[name].score(histories)) for name in asked)


def standardised(scores: np.ndarray) -> np.ndarray:
    """Scores (n, n_items) less their row's mean, over their row's deviation; float32, 0 where all are equal.

    >>> standardised(np.array([[1.0, 3.0], [2.0, 2.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    rest = scores - scores.mean(axis=1, keepdims=True)
    spread = scores.std(axis=1, keepdims=True)
    return np.divide(rest, spread, out=np.zeros_like(rest), where=spread > 1e-9).astype(np.float32)


@dataclass(frozen=True)
class Climbed:
    """The best shares that were found, their value, and how many shares were tried."""

    shares: dict[str, float]
    value: float
    n_tried: int


def climb(
    value: Callable[[Mapping[str, float]], float],
    start: Mapping[str, float],
    *,
    steps: tuple[float, ...] = (0.5, 0.25),
    gain: float = 1e-5,
) -> Climbed:
    """Shares that no single step improves: one share at a time moves up or down by the step, as long as value grows.

    value: higher is better, of shares that are 0 or more, not all 0. gain: the least growth that counts. A way to the
    nearest top, which need not be the highest. Raises Problem when start has a share below 0 or none above.
    """
    if min(start.values(), default=0) < 0 or not sum(start.values()) > 0:
        raise Problem(f"start must have shares of 0 or more and one above 0; got {dict(start)}")
    known: dict[tuple[float, ...], float] = {}

    def judged(shares: Mapping[str, float]) -> float:
        key = tuple(shares.values())
        if key not in known:
            known[key] = value(shares) if sum(key) > 0 else -np.inf
        return known[key]

    best = dict(start)
    for step in steps:
        moved = True
        while moved:
            moved = False
            for name in best:
                nearby = [{**best, name: max(best[name] + sign * step, 0.0)} for sign in (1, -1)]
                top = max(nearby, key=judged)
                if judged(top) > judged(best) + gain:
                    best, moved = top, True
    return Climbed(best, judged(best), len(known))
