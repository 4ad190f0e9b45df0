"""Neighbourhood models against loops over all pairs, and on planted tastes."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model import neighbours
from recutils.model.neighbours import ItemNeighbours, Neighbours, UserNeighbours
from recutils.tables import Interactions, Problem

SETTINGS = [
    {"neighbours": 5},
    {"neighbours": 5, "shrink": 10.0},
    {"neighbours": 0, "values": "binary"},
    {"neighbours": 5, "similarity": "pearson"},
    {"neighbours": 0, "similarity": "pearson", "shrink": 2.0},
]
each_setting = pytest.mark.parametrize("setting", SETTINGS, ids=str)


def similarity(a: np.ndarray, b: np.ndarray, model: Neighbours) -> float:
    """The similarity of two rows of values, unknown 0, from its words in the docstring."""
    if model.similarity == "pearson":
        a, b = (np.where(row != 0, row - row[row != 0].mean(), 0) for row in (a, b))
    scale = np.sqrt((a**2).sum()) * np.sqrt((b**2).sum()) + model.shrink
    return float(max(a @ b / scale, 0)) if scale > 0 else 0.0


def nearest(row: np.ndarray, others: np.ndarray, model: Neighbours) -> np.ndarray:
    """Similarities (n_others,) to the nearest others, 0 for the rest."""
    near = np.array([similarity(row, other, model) for other in others])
    if model.neighbours:
        near[np.argsort(-near, kind="stable")[model.neighbours :]] = 0
    return near


@each_setting
def test_user_neighbours_by_brute_force(ratings: Interactions, setting: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    model = UserNeighbours(**setting).fit(ratings)
    known = ratings.matrix(model.values).toarray().astype(float)
    expected = np.array([nearest(row, known, model) @ known for row in known])
    np.testing.assert_allclose(model.score(ratings.matrix()), expected, rtol=1e-4, atol=1e-4)


@each_setting
def test_item_neighbours_by_brute_force(ratings: Interactions, setting: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    model = ItemNeighbours(**setting).fit(ratings)
    known = ratings.matrix(model.values).toarray().astype(float)
    weights = np.zeros((ratings.n_items, ratings.n_items))
    for item in range(ratings.n_items):
        others = np.delete(np.arange(ratings.n_items), item)
        weights[others, item] = nearest(known.T[item], known.T[others], model)
    np.testing.assert_allclose(model.score(ratings.matrix()), known @ weights, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [ItemNeighbours, UserNeighbours], ids=lambda make: make.name)
@pytest.mark.parametrize("similarity", ["cosine", "pearson"])
def test_two_planted_tastes_are_told_apart(make: type[Neighbours], similarity: str, ratings: Interactions) -> None:
    scores = make(similarity=similarity, neighbours=5).fit(ratings).score(ratings.matrix())
    users, items = np.indices(scores.shape)
    same, unseen = (users % 2) == (items % 2), ratings.matrix("binary").toarray() == 0
    assert scores[same & unseen].mean() > 1.3 * scores[~same & unseen].mean()


def test_equal_similarities_are_taken_in_row_order() -> None:
    train = Interactions(pd.DataFrame({"user": [0, 0, 1, 1, 2, 2], "item": [0, 1, 0, 2, 0, 3], "value": 1.0}), 3, 4)
    scores = UserNeighbours(neighbours=1).fit(train).score(sparse.csr_matrix([[1.0, 0, 0, 0]]))
    assert (scores[0] > 0).tolist() == [True, True, False, False]


@pytest.mark.parametrize("make", [ItemNeighbours, UserNeighbours], ids=lambda make: make.name)
def test_constant_ratings_have_no_correlation_and_give_popularity(
    make: type[Neighbours], ratings: Interactions
) -> None:
    constant = Interactions(ratings.rows.assign(value=3.3), ratings.n_users, ratings.n_items)
    model = make(similarity="pearson").fit(constant)
    assert np.array_equal(model.score(constant.matrix()[:2]), np.tile(model.popular, (2, 1)))


def test_a_history_of_items_nobody_met_gives_popularity(ratings: Interactions) -> None:
    train = ratings.only(ratings.item != 3)
    history = sparse.csr_matrix(([5.0], ([0], [3])), shape=(1, ratings.n_items))
    for make in (ItemNeighbours, UserNeighbours):
        model = make().fit(train)
        assert np.array_equal(model.score(history)[0], model.popular)


def test_bad_parameters_are_named() -> None:
    for given, words in (
        ({"similarity": "jaccard"}, "'cosine' or 'pearson'"),
        ({"similarity": "pearson", "values": "binary"}, "compares values"),
        ({"neighbours": -1}, "0 or more"),
        ({"values": "counts"}, "values must be"),
    ):
        with pytest.raises(Problem, match=words):
            ItemNeighbours(**given)
