"""Slope one, co-clustering and SVD++ against Surprise itself, by hand, and on planted groups."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model import ratings as module
from recutils.model.base import RatingModel
from recutils.model.ratings import CoClustering, SlopeOne
from recutils.model.svd import SVDPlus, trainset
from recutils.tables import Interactions, Problem

# Item 1 is rated 1 above item 0 by users 0 and 1 (5 and 4; 3 and 2); user 2 rated item 0 alone, with 2.
SLOPE = Interactions(pd.DataFrame({"user": [0, 0, 1, 1, 2], "item": [0, 1, 0, 1, 0], "value": [4.0, 5, 2, 3, 2]}), 4, 3)


def test_slope_one_by_hand() -> None:
    model = SlopeOne().fit(SLOPE)
    assert model.predict(np.array([2]), np.array([1]))[0] == pytest.approx(3.0), "2, and one more"
    assert model.score(sparse.csr_matrix([[0, 4.0, 0]]))[0, 0] == pytest.approx(3.0), (
        "a stranger who rated item 1 with 4"
    )
    unknown = model.predict(np.array([3, 0]), np.array([0, 2]))
    assert unknown.tolist() == pytest.approx([3.2, 3.2]), "nothing is known of one side: the mean"


def pairs(train: Interactions) -> tuple[np.ndarray, np.ndarray]:
    return np.divmod(np.arange(train.n_users * train.n_items), train.n_items)


@pytest.mark.parametrize("make", [SlopeOne, CoClustering, SVDPlus], ids=lambda make: make.name)
def test_predictions_are_surprises_own(make: type[RatingModel], ratings: Interactions) -> None:
    import surprise

    train = ratings.only((ratings.user > 0) & (ratings.item > 0))
    algorithm = {SlopeOne: surprise.SlopeOne(), CoClustering: surprise.CoClustering(random_state=0)}.get(
        make, surprise.SVDpp(random_state=0)
    )
    fitted = algorithm.fit(trainset(train, (1, 5)))
    users, items = pairs(train)
    expected = [fitted.predict(user, item).est for user, item in zip(users.tolist(), items.tolist(), strict=True)]
    np.testing.assert_allclose(make().fit(train).predict(users, items), expected, atol=1e-5)


@pytest.mark.parametrize("make", [CoClustering, SVDPlus], ids=lambda make: make.name)
def test_two_planted_tastes_are_told_apart(make: type[RatingModel], ratings: Interactions) -> None:
    model = CoClustering(user_groups=2, item_groups=2, seed=1) if make is CoClustering else make()
    scores = model.fit(ratings).score(ratings.matrix())
    users, items = np.indices(scores.shape)
    same, unseen = (users % 2) == (items % 2), ratings.matrix("binary").toarray() == 0
    assert scores[same & unseen].mean() - scores[~same & unseen].mean() > 1.0


def test_co_clustering_folds_a_history_into_the_group_that_fits_best(ratings: Interactions) -> None:
    model = CoClustering(seed=1).fit(ratings)
    history, table = ratings.matrix()[7], model._table()
    errors = [((history.data - history.data.mean() - table[group, history.indices]) ** 2).sum() for group in range(3)]
    expected = table[int(np.argmin(errors))] + history.data.mean()
    np.testing.assert_allclose(model.score(history)[0], expected, rtol=1e-5)


def test_half_stars_and_large_catalogues_are_refused(ratings: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    halves = Interactions(ratings.rows.assign(value=3.5), ratings.n_users, ratings.n_items)
    with pytest.raises(Problem, match=r"whole ratings only; got 3\.5"):
        CoClustering().fit(halves)
    with pytest.raises(Problem, match="groups and epochs must be at least 1"):
        CoClustering(user_groups=0)
    monkeypatch.setattr(module, "MOST_ITEMS", 29)
    with pytest.raises(Problem, match="at most 29 items, got 30"):
        SlopeOne().fit(ratings)


def test_svd_plus_folds_in_what_rating_an_item_at_all_means(ratings: Interactions) -> None:
    model = SVDPlus(factors=4, epochs=5).fit(ratings)
    history = ratings.matrix()[7]
    implicit = model.implicit_factors[history.indices].sum(axis=0) / np.sqrt(history.nnz)
    design = np.column_stack([np.ones(history.nnz), model.item_factors[history.indices]])
    rest = history.data - model.mean[0] - model.item_bias[history.indices] - design[:, 1:] @ implicit
    own = np.linalg.solve(design.T @ design + model.reg * history.nnz * np.eye(5), design.T @ rest)
    found = model._fold_in(history.indices, history.data.astype(float))
    np.testing.assert_allclose(found, own + np.concatenate([[0], implicit]), rtol=1e-6, atol=1e-9)
