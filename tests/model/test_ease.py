"""EASE by hand, by its optimality, and on planted tastes."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model import ease
from recutils.model.ease import EASE, UserEASE, WideEASE
from recutils.tables import Interactions, Problem

# Users 0 and 1 met items 0 and 1, user 2 met item 2: G = [[2, 2, 0], [2, 2, 0], [0, 0, 1]].
THREE = Interactions(pd.DataFrame({"user": [0, 0, 1, 1, 2], "item": [0, 1, 0, 1, 2], "value": 5.0}), 3, 3)


def test_three_items_by_hand() -> None:
    # With reg 1 the first block of G + I is [[3, 2], [2, 3]], its inverse [[3, -2], [-2, 3]] / 5: B = 2 / 3.
    model = EASE(reg=1.0).fit(THREE)
    np.testing.assert_allclose(model.weights, [[0, 2 / 3, 0], [2 / 3, 0, 0], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(model.score(sparse.csr_matrix([[4.0, 0, 0]])), [[0, 2 / 3, 0]], rtol=1e-6)


def test_values_by_hand() -> None:
    # Values of 5: the block is [[51, 50], [50, 51]]: B = 50 / 51, and a history's own values count.
    model = EASE(reg=1.0, values="value").fit(THREE)
    assert model.score(sparse.csr_matrix([[4.0, 0, 0]]))[0, 1] == pytest.approx(200 / 51, rel=1e-6)


def test_each_column_is_the_ridge_regression_on_the_other_items(ratings: Interactions) -> None:
    model, known = EASE(reg=7.0).fit(ratings), ratings.matrix("binary").toarray().astype(float)
    others = np.delete(np.arange(ratings.n_items), 4)
    design = known[:, others]
    expected = np.linalg.solve(design.T @ design + 7 * np.eye(len(others)), design.T @ known[:, 4])
    np.testing.assert_allclose(model.weights[others, 4], expected, rtol=1e-4, atol=1e-6)
    assert (np.diag(model.weights) == 0).all()


def test_two_planted_tastes_are_told_apart(ratings: Interactions) -> None:
    scores = EASE(reg=30.0, values="value").fit(ratings).score(ratings.matrix())
    users, items = np.indices(scores.shape)
    same, unseen = (users % 2) == (items % 2), ratings.matrix("binary").toarray() == 0
    assert scores[same & unseen].mean() > 1.3 * scores[~same & unseen].mean()


def test_items_nobody_met_score_nothing_and_their_fans_get_popularity() -> None:
    model = EASE(reg=1.0).fit(Interactions(THREE.rows, 3, 4))
    assert (model.weights[3] == 0).all() and (model.weights[:, 3] == 0).all()
    assert model.score(sparse.csr_matrix([[0, 0, 0, 5.0]])).tolist() == [[2, 2, 1, 0]]


def test_bad_parameters_and_too_many_items_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="values must be 'value' or 'binary'"):
        EASE(values="ratings")
    with pytest.raises(Problem, match="reg must be a positive"):
        EASE(reg=0)
    monkeypatch.setattr(ease, "MOST_ITEMS", 2)
    with pytest.raises(Problem, match="use ALS or item neighbours"):
        EASE().fit(THREE)


def test_each_user_is_the_ridge_regression_on_the_other_users(ratings: Interactions) -> None:
    model, known = UserEASE(reg=7.0).fit(ratings), ratings.matrix("binary").toarray().astype(float)
    others = np.delete(np.arange(ratings.n_users), 5)
    design = known[others].T
    weights = np.linalg.solve(design.T @ design + 7 * np.eye(len(others)), design.T @ known[5])
    np.testing.assert_allclose(model.score(ratings.matrix()[5])[0], weights @ known[others], rtol=1e-4, atol=1e-5)


def test_a_new_history_is_the_ridge_regression_on_all_users(ratings: Interactions) -> None:
    model, known = UserEASE(reg=7.0).fit(ratings), ratings.matrix("binary").toarray().astype(float)
    new = np.zeros(ratings.n_items)
    new[[1, 4, 9]] = 1
    weights = np.linalg.solve(known @ known.T + 7 * np.eye(len(known)), known @ new)
    np.testing.assert_allclose(model.score(sparse.csr_matrix(new))[0], weights @ known, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [EASE, UserEASE])
def test_roots_and_balance_are_those_of_a_weighted_regression(make: type[EASE], ratings: Interactions) -> None:
    model = make(reg=3.0, values="value", power=0.5, balance=1.0).fit(ratings)
    table = np.sqrt(ratings.matrix().toarray().astype(float))
    table = table if make is EASE else table.T
    counts = (table > 0).sum(axis=1)
    weights = counts.sum() / len(counts) / counts  # n^-1, so scaled that the mean event weighs 1
    others = np.delete(np.arange(table.shape[1]), 4)
    design = table[:, others]
    column = np.linalg.solve(
        (design.T * weights) @ design + 3 * np.eye(len(others)), (design.T * weights) @ table[:, 4]
    )
    scores = model.score(ratings.matrix())
    found = scores[:, 4] if make is EASE else scores[4]
    np.testing.assert_allclose(found, design @ column, rtol=1e-4, atol=1e-5)


def test_more_bad_parameters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="power must be above 0 and balance 0 or more"):
        EASE(power=0)
    below = Interactions(THREE.rows.assign(value=-1.0), 3, 3)
    with pytest.raises(Problem, match="user ease cannot raise negative values"):
        UserEASE(values="value", power=0.5).fit(below)
    monkeypatch.setattr(ease, "MOST_ITEMS", 2)
    with pytest.raises(Problem, match="users x users"):
        UserEASE().fit(THREE)


@pytest.mark.parametrize("options", [{}, {"values": "value"}, {"values": "value", "power": 0.5}])
def test_wide_ease_is_ease(ratings: Interactions, options: dict) -> None:
    both = EASE(reg=7.0, **options).fit(ratings), WideEASE(reg=7.0, **options).fit(ratings)
    histories = sparse.vstack([ratings.matrix(), sparse.random(5, ratings.n_items, 0.3, random_state=1)], format="csr")
    wanted, found = (model.score(histories) for model in both)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert WideEASE(reg=1.0).fit(THREE).score(sparse.csr_matrix([[4.0, 0, 0]]))[0] == pytest.approx([0, 2 / 3, 0])


def test_wide_ease_gives_nothing_for_items_without_events() -> None:
    model = WideEASE(reg=1.0).fit(Interactions(THREE.rows, 3, 5))
    assert model.score(sparse.csr_matrix([[1.0, 0, 0, 1.0, 0]]))[0, 3:] == pytest.approx([0, 0], abs=1e-7)
