"""Judging without the pull of popularity: a balanced sample of events, means by inverse propensity, a planted world.

Models against popularity live in model/debias.py.
"""

from dataclasses import dataclass

import numpy as np

from recutils.tables import Interactions, Problem


def weighted_mean(values: np.ndarray, propensities: np.ndarray, *, n_all: int | None = None) -> float:
    """The mean over all units, seen or not, estimated from the seen ones, each counting 1 / propensity.

    values, propensities: (n_seen,). n_all: how many units there are (IPS, unbiased, needs propensities that are right
    in size); None divides by the sum of the weights instead (self-normalised: only their ratios matter).
    Source: Schnabel et al. 2016. Raises Problem unless 0 < propensity <= 1.

    >>> weighted_mean(np.array([1.0, 0.0]), np.array([1.0, 0.25]))
    0.2
    >>> weighted_mean(np.array([1.0, 0.0]), np.array([0.5, 0.25]), n_all=8)
    0.25
    """
    values, chances = np.asarray(values, dtype=np.float64), np.asarray(propensities, dtype=np.float64)
    if values.ndim != 1 or values.shape != chances.shape or not len(values):
        raise Problem(f"values and propensities must be rows of one length > 0; got {values.shape}, {chances.shape}")
    bad = np.flatnonzero(~((chances > 0) & (chances <= 1)))
    if len(bad):
        raise Problem(
            f"a propensity is a chance above 0 and at most 1; got {chances[bad[0]]} in place {bad[0]}. What can never "
            "be seen cannot be corrected for: clip from below, such as model.debias.propensities(floor=0.05)."
        )
    return float((values / chances).sum() / ((1 / chances).sum() if n_all is None else n_all))


def keep_chances(popularity: np.ndarray, share: float) -> np.ndarray:
    """(n,) chances min(1, c / popularity), c such that their mean is `share` (halving, to 1e-9 of c).

    popularity: (n,) of each event's item, 0 counts as 1. Raises Problem unless 0 < share <= 1.

    >>> keep_chances(np.array([1, 2, 4]), 0.5833333333).round(3).tolist()
    [1.0, 0.5, 0.25]
    """
    popularity = np.maximum(np.asarray(popularity, dtype=np.float64), 1.0)
    if not 0 < share <= 1 or not len(popularity):
        raise Problem(f"share must lie above 0 and at most at 1, for at least one event; got {share}")
    low, high = 0.0, float(popularity.max())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, middle / popularity).mean() < share else (low, middle)
    return np.minimum(1, high / popularity)


def balanced(
    part: Interactions, counts: np.ndarray, *, share: float = 0.2, rng: int | np.random.Generator = 0
) -> Interactions:
    """About `share` of a part's events, each kept with a chance inverse to its item's popularity, in file order.

    counts: (n_items,) the items' popularity, from the training part. Each event has a draw of its own, so that a larger
    share keeps whatever a smaller one does. When all items are equally popular this is a plain sample.
    Source: the skewed test sets of Bonner & Vasile 2018 ("Causal embeddings"). Raises Problem when nothing is kept.
    """
    if np.shape(counts) != (part.n_items,):
        raise Problem(f"counts must hold one number for each of {part.n_items} items; got shape {np.shape(counts)}")
    if not len(part):
        raise Problem("there are no events to sample from; check the split's shares.")
    draws = np.random.default_rng(rng).random(len(part))
    kept = draws < keep_chances(np.asarray(counts)[part.item], share)
    if not kept.any():
        raise Problem(f"none of {len(part)} events is kept with share {share}. Take a larger share.")
    return part.only(kept)


@dataclass(frozen=True, eq=False)
class Planted:
    """A world whose truth is known: who would like what (n_users, n_items), and what of it was seen.

    exposure: (n_items,) the true chance that a pair is seen. liked, seen: bool.
    """

    exposure: np.ndarray
    liked: np.ndarray
    seen: np.ndarray

    @property
    def truth(self) -> float:
        """The share of all pairs that are likings, seen or not."""
        return float(self.liked.mean())

    @property
    def counts(self) -> np.ndarray:
        """(n_items,) how often each item was seen."""
        return self.seen.sum(axis=0)


def planted(n_users: int, n_items: int, *, skew: float = 1.0, rng: int | np.random.Generator = 0) -> Planted:
    """A world in which item number r is seen with chance (r + 1) ** -skew and liked by .8 falling to .2 of the people.

    What is seen more is liked more, so that the mean over what was seen flatters. skew 0: everything is seen.
    """
    if n_users < 1 or n_items < 2 or skew < 0:
        raise Problem(f"n_users must be 1, n_items 2, skew 0 or more; got {n_users}, {n_items}, {skew}")
    generator = np.random.default_rng(rng)
    exposure = np.arange(1, n_items + 1.0) ** -skew
    liked = generator.random((n_users, n_items)) < np.linspace(0.8, 0.2, n_items)
    return Planted(exposure, liked, generator.random((n_users, n_items)) < exposure)
