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
        ({"similarity": "jaccard"}, "'pearson' or 'adjusted'"),
        ({"similarity": "pearson", "values": "binary"}, "compares values"),
        ({"similarity": "adjusted", "weighting": "bm25"}, "compares values"),
        ({"weighting": "okapi"}, "'tfidf' or 'bm25'"),
        ({"neighbours": -1}, "0 or more"),
        ({"values": "counts"}, "values must be"),
    ):
        with pytest.raises(Problem, match=words):
            ItemNeighbours(**given)


def test_adjusted_cosine_by_hand() -> None:
    # Users rate items (0, 1) as (5, 3), (4, 2) and (1, 5): less each user's mean (1, -1), (1, -1), (-2, 2): opposites.
    # The plain cosine finds the two items alike, since all ratings are positive.
    rows = pd.DataFrame({"user": [0, 0, 1, 1, 2, 2], "item": [0, 1] * 3, "value": [5.0, 3, 4, 2, 1, 5]})
    train = Interactions(rows, 3, 2)
    assert ItemNeighbours(neighbours=0).fit(train).weights[0, 1] > 0.6
    assert ItemNeighbours(neighbours=0, similarity="adjusted").fit(train).weights[0, 1] == 0


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weights_are_those_of_implicit(weighting: str, ratings: Interactions) -> None:
    from implicit.nearest_neighbours import bm25_weight, tfidf_weight

    model = ItemNeighbours(weighting=weighting).fit(ratings)
    by_item = ratings.matrix().T.tocsr()
    theirs = tfidf_weight(by_item) if weighting == "tfidf" else bm25_weight(by_item, K1=100, B=0.8)
    np.testing.assert_allclose(model._compared(by_item).toarray(), theirs.toarray(), rtol=1e-4, atol=1e-6)


def test_neighbours_by_bm25_are_those_of_implicit(ratings: Interactions) -> None:
    from implicit.nearest_neighbours import BM25Recommender

    theirs = BM25Recommender(K=8, K1=100, B=0.8, num_threads=1)
    theirs.fit(ratings.matrix().astype(np.float64), show_progress=False)
    ours = (
        ItemNeighbours(neighbours=7, weighting="bm25").fit(ratings).weights.T.tocsr()
    )  # implicit counts the item itself
    for item in range(ratings.n_items):
        found = theirs.similarity[item].toarray().ravel()
        found[item] = 0
        row = ours[item].toarray().ravel()
        assert np.allclose(np.sort(row[row > 0])[-6:], np.sort(found[found > 0])[-6:], rtol=1e-4)


@pytest.mark.parametrize("make", [ItemNeighbours, UserNeighbours], ids=lambda make: make.name)
@pytest.mark.parametrize(
    "setting", [{"similarity": "adjusted"}, {"weighting": "tfidf"}, {"weighting": "bm25"}], ids=str
)
def test_a_batch_changes_nobodys_scores(make: type[Neighbours], setting: dict, ratings: Interactions) -> None:
    model, histories = make(neighbours=5, **setting).fit(ratings), ratings.matrix()
    alone = np.vstack([model.score(histories[row]) for row in range(5)])
    np.testing.assert_allclose(model.score(histories)[:5], alone, rtol=1e-5, atol=1e-6)
