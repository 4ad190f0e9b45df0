"""Scores as probabilities, and whether these come true: isotonic regression, reliability by bins over users."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from recutils.evaluate.resample import seed_of
from recutils.tables import Problem

BINS = 10


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of equal size, by predicted probability, and the errors of all.

    bins: predicted (mean), happened (share) with low and high, n pairs. error: the mean distance of predicted and
    happened, weighted by n (expected calibration error). brier: mean squared error; brier_base: that of the base rate.
    """

    bins: pd.DataFrame
    error: float
    brier: float
    brier_base: float


def calibrated(scores: np.ndarray, happened: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Probabilities, shaped like `asked`, by the rising step function that fits scores -> happened best.

    scores, happened: any shape, the same for both, of other people than `asked`; the regression is scikit-learn's
    (Zadrozny & Elkan 2002). Scores beyond those seen get the nearest end.
    """
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores.ravel(), happened.ravel())
    return steps.predict(asked.ravel()).reshape(asked.shape).clip(0, 1)


def reliability(
    predicted: np.ndarray, happened: np.ndarray, users: np.ndarray, *, seed: int, draws: int, n_bins: int = BINS
) -> Reliability:
    """Predicted probabilities against what happened. predicted, happened, users: (n_pairs,).

    Intervals resample users, since the pairs of one user are no independent draws. Bins hold equal numbers of pairs;
    equal predictions share a bin, so there may be fewer. Raises Problem for probabilities outside 0..1.
    """
    predicted, happened = np.asarray(predicted, np.float64), np.asarray(happened, np.float64)
    if len(predicted) == 0 or not ((predicted >= 0) & (predicted <= 1)).all():
        raise Problem("predicted must hold probabilities in 0..1, at least one; calibrate the scores first.")
    if not len(predicted) == len(happened) == len(users):
        raise Problem(f"the three must have one length; got {len(predicted)}, {len(happened)} and {len(users)}")
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, n_bins + 1)[1:-1]))
    place = np.unique(np.searchsorted(edges, predicted, side="left"), return_inverse=True)[1]
    n = np.bincount(place)
    table = pd.DataFrame({"predicted": np.bincount(place, predicted) / n, "happened": np.bincount(place, happened) / n})
    table["low"], table["high"] = _bounds(place, happened, users, seed, draws)
    error = float((n * (table.predicted - table.happened).abs()).sum() / n.sum())
    base = float(happened.mean())
    return Reliability(table.assign(n=n), error, float(np.mean((predicted - happened) ** 2)), base * (1 - base))


def _bounds(
    place: np.ndarray, happened: np.ndarray, users: np.ndarray, seed: int, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % bounds (n_bins,) of the share that happened in each bin, users resampled."""
    user = np.unique(users, return_inverse=True)[1]
    shape = (int(user.max()) + 1, int(place.max()) + 1)
    hits, pairs = np.zeros(shape), np.zeros(shape)
    np.add.at(hits, (user, place), happened)
    np.add.at(pairs, (user, place), 1)
    rng = np.random.default_rng([seed_of(seed), 105])  # a stream of its own, as in resample.py
    drawn = rng.multinomial(len(hits), np.full(len(hits), 1 / len(hits)), size=draws).astype(np.float64)
    shares = (drawn @ hits) / np.maximum(drawn @ pairs, 1)
    low, high = np.quantile(shares, (0.025, 0.975), axis=0)
    return low, high
