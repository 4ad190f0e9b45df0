"""Errors of predicted ratings: per row, per user, over all rows. No ranking (metrics.py), no intervals (statistics.py).

"Over all rows" and "per user" answer different questions: the first counts a user once per rating, the other once.
Published RMSE tables (gates P1, P2) are over all rows; comparisons between models pair the per-user values. An interval
for the figure over all rows: `statistics.crossed_interval` of the squared errors, and the root of its three numbers.
"""

import numpy as np

from recutils.tables import Interactions, Problem


def known_pairs(train: Interactions, part: Interactions) -> Interactions:
    """The events of a part whose user and item both have training events. Raises Problem when none is left."""
    known = part.only(np.isin(part.user, train.user) & np.isin(part.item, train.item))
    if len(known) == 0:
        raise Problem(f"none of {len(part):,} events is of a known user and a known item; use a larger sample.")
    return known


def squared_errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(predicted - truth)^2 of each row, float64, in rating units squared.

    >>> squared_errors([4, 3, 5, 1, 2], [4, 4, 3, 1, 2.5]).tolist()
    [0.0, 1.0, 4.0, 0.0, 0.25]
    """
    return np.square(_errors(truth, predicted))


def absolute_errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """|predicted - truth| of each row, float64, in rating units.

    >>> absolute_errors([4, 3, 5, 1, 2], [4, 4, 3, 1, 2.5]).tolist()
    [0.0, 1.0, 2.0, 0.0, 0.5]
    """
    return np.abs(_errors(truth, predicted))


def rmse(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The root of the mean squared error over all rows: a user counts once per rating.

    >>> round(rmse([4, 3, 5, 1, 2], [4, 4, 3, 1, 2.5]), 4)
    1.0247
    """
    return float(np.sqrt(_some(squared_errors(truth, predicted)).mean()))


def mae(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The mean absolute error over all rows: a user counts once per rating.

    >>> mae([4, 3, 5, 1, 2], [4, 4, 3, 1, 2.5])
    0.7
    """
    return float(_some(absolute_errors(truth, predicted)).mean())


def rmse_per_user(users: np.ndarray, truth: np.ndarray, predicted: np.ndarray, n_users: int) -> np.ndarray:
    """The root mean squared error of each user's own rows: (n_users,) float64, NaN for a user without rows.

    >>> rmse_per_user([0, 0, 1, 1, 3], [4, 3, 5, 1, 2], [4, 4, 3, 1, 2.5], n_users=4).round(3).tolist()
    [0.707, 1.414, nan, 0.5]
    """
    return np.sqrt(_mean_per_user(users, squared_errors(truth, predicted), n_users))


def mae_per_user(users: np.ndarray, truth: np.ndarray, predicted: np.ndarray, n_users: int) -> np.ndarray:
    """The mean absolute error of each user's own rows: (n_users,) float64, NaN for a user without rows.

    >>> mae_per_user([0, 0, 1, 1, 3], [4, 3, 5, 1, 2], [4, 4, 3, 1, 2.5], n_users=4).tolist()
    [0.5, 1.0, nan, 0.5]
    """
    return _mean_per_user(users, absolute_errors(truth, predicted), n_users)


def _errors(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    truth, predicted = np.asarray(truth, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != predicted.shape:
        raise Problem(f"truth and predicted must have one length; got shapes {truth.shape} and {predicted.shape}")
    for name, values in (("truth", truth), ("predicted", predicted)):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise Problem(
                f"{name} must be finite; row {row} is {values[row]}. Where a model knows nothing, use the mean."
            )
    return predicted - truth


def _some(errors: np.ndarray) -> np.ndarray:
    if len(errors) == 0:
        raise Problem("an error needs at least one rating; got none. Is the split empty?")
    return errors


def _mean_per_user(users: np.ndarray, errors: np.ndarray, n_users: int) -> np.ndarray:
    users = np.asarray(users)
    if users.shape != errors.shape or not np.issubdtype(users.dtype, np.integer):
        raise Problem(
            f"users must hold one row number for each of {len(errors)} ratings; got {users.dtype} {users.shape}"
        )
    if len(users) and not 0 <= users.min() <= users.max() < n_users:
        raise Problem(f"users must lie in 0..{n_users - 1}; got {users.min()}..{users.max()}")
    counts = np.bincount(users, minlength=n_users)
    sums = np.bincount(users, weights=errors, minlength=n_users)
    return np.divide(sums, counts, out=np.full(n_users, np.nan), where=counts > 0)
