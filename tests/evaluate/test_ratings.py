"""Rating errors against answers on paper and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from recutils.evaluate import ratings
from recutils.tables import Interactions, Problem


def test_over_all_rows_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(1, 6, 500), rng.random(500) * 4 + 1
    assert ratings.rmse(truth, predicted) == pytest.approx(root_mean_squared_error(truth, predicted), rel=1e-12)
    assert ratings.mae(truth, predicted) == pytest.approx(mean_absolute_error(truth, predicted), rel=1e-12)


def test_per_user_on_paper() -> None:
    users, truth, predicted = [2, 0, 2, 2], [5, 3, 1, 4], [3, 3, 2, 6]
    assert ratings.mae_per_user(users, truth, predicted, 4).tolist() == pytest.approx(
        [0, np.nan, 5 / 3, np.nan], nan_ok=True
    )
    assert ratings.rmse_per_user(users, truth, predicted, 4)[2] == pytest.approx(np.sqrt(9 / 3))


def test_users_weigh_differently_in_the_two_means() -> None:
    users, truth, predicted = [0, 0, 0, 1], [1, 1, 1, 1], [1, 1, 1, 5]
    assert ratings.mae(truth, predicted) == 1
    assert ratings.mae_per_user(users, truth, predicted, 2).mean() == 2


def test_perfect_and_float32() -> None:
    truth = np.array([1, 2, 3], dtype=np.float32)
    assert ratings.rmse(truth, truth) == 0
    assert ratings.squared_errors(truth, truth + np.float32(0.5)).dtype == np.float64


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [([1, 2], [1], "one length"), ([1, np.nan], [1, 2], "truth must be finite; row 1"), ([1], [np.inf], "predicted")],
)
def test_refusals(truth: list, predicted: list, message: str) -> None:
    with pytest.raises(Problem, match=message):
        ratings.rmse(truth, predicted)


def test_refuses_no_rows_and_wrong_users() -> None:
    with pytest.raises(Problem, match="at least one rating"):
        ratings.mae([], [])
    with pytest.raises(Problem, match=r"0\.\.1; got 0\.\.2"):
        ratings.rmse_per_user([0, 2], [1, 2], [1, 2], n_users=2)
    with pytest.raises(Problem, match="2 ratings"):
        ratings.rmse_per_user([0], [1, 2], [1, 2], n_users=2)


def test_pairs_of_strangers_are_left_out() -> None:
    def made(pairs: list[tuple[int, int]]) -> Interactions:
        return Interactions(pd.DataFrame(pairs, columns=["user", "item"]).assign(value=1.0), 3, 3)

    train = made([(0, 0), (1, 1)])
    known = ratings.known_pairs(train, made([(0, 1), (2, 1), (1, 2), (1, 0)]))
    assert known.rows[["user", "item"]].to_numpy().tolist() == [[0, 1], [1, 0]]
    with pytest.raises(Problem, match="none of 1 events"):
        ratings.known_pairs(train, made([(2, 2)]))
