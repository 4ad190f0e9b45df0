"""Factor models on planted ratings, and folding in against the training itself."""

import numpy as np
import pytest
from scipy import sparse

from recutils.model.svd import NMF, SVD, Baseline
from recutils.tables import Interactions


@pytest.mark.parametrize("make", [SVD, NMF], ids=lambda make: make.name)
def test_two_planted_tastes_are_told_apart(make: type[SVD], ratings: Interactions) -> None:
    scores = make().fit(ratings).score(ratings.matrix())
    users, items = np.indices(scores.shape)
    same = (users % 2) == (items % 2)
    unseen = ratings.matrix("binary").toarray() == 0
    assert scores[same & unseen].mean() - scores[~same & unseen].mean() > 1.0


def test_baseline_prediction_by_hand(ratings: Interactions) -> None:
    model = Baseline().fit(ratings)
    by_hand = model.mean[0] + model.user_bias[3] + model.item_bias[4]
    assert model.predict(np.array([3]), np.array([4]))[0] == pytest.approx(np.clip(by_hand, 1, 5), rel=1e-12)
    assert model.mean[0] == pytest.approx(ratings.value.mean(), rel=1e-6)


def test_baseline_fold_in_returns_the_trained_bias(ratings: Interactions) -> None:
    model = Baseline(epochs=200).fit(ratings)
    history = ratings.matrix()[7]
    folded = model._fold_in(history.indices, history.data.astype(float))[0]
    assert folded == pytest.approx(model.user_bias[7], abs=1e-9)


def test_svd_fold_in_solves_its_ridge(ratings: Interactions) -> None:
    model = SVD(factors=4).fit(ratings)
    history = ratings.matrix()[7]
    design = np.column_stack([np.ones(history.nnz), model.item_factors[history.indices]])
    rest = history.data - model.mean[0] - model.item_bias[history.indices]
    normal = design.T @ design + model.reg * history.nnz * np.eye(5)
    expected = np.linalg.solve(normal, design.T @ rest)
    np.testing.assert_allclose(model._fold_in(history.indices, history.data.astype(float)), expected, rtol=1e-8)


def test_svd_fold_in_agrees_with_training_for_known_users(ratings: Interactions) -> None:
    model = SVD(factors=4, epochs=400).fit(ratings)
    users, items = np.divmod(np.arange(ratings.n_users * ratings.n_items), ratings.n_items)
    trained = model.predict(users, items)
    folded = np.clip(model.score(ratings.matrix()).ravel(), *model.scale)
    assert np.corrcoef(trained, folded)[0, 1] > 0.98


def test_a_stranger_gets_mean_and_item_bias(ratings: Interactions) -> None:
    model = SVD(factors=4).fit(ratings)
    expected = model.mean[0] + model.item_bias
    np.testing.assert_allclose(model.score(sparse.csr_matrix((1, ratings.n_items)))[0], expected, rtol=1e-6)


def test_svd_without_factors_is_mean_and_biases_whatever_the_seed(ratings: Interactions) -> None:
    model, other = (SVD(factors=0, seed=seed).fit(ratings) for seed in (1, 2))
    assert (model.user_factors.shape, model.item_factors.shape) == ((ratings.n_users, 0), (ratings.n_items, 0))
    users, items = np.divmod(np.arange(ratings.n_users * ratings.n_items), ratings.n_items)
    by_hand = np.clip(model.mean[0] + model.user_bias[users] + model.item_bias[items], 1, 5)
    np.testing.assert_allclose(model.predict(users, items), by_hand, rtol=1e-12)
    np.testing.assert_array_equal(other.item_bias, model.item_bias)
    assert np.ptp(model.item_bias) > 0.1, "the biases were learnt"


def test_svd_without_factors_folds_in_the_shrunk_mean_of_what_is_left(ratings: Interactions) -> None:
    model = SVD(factors=0, reg=0.5).fit(ratings)
    history = ratings.matrix()[7]
    rest = history.data - model.mean[0] - model.item_bias[history.indices]
    bias = rest.sum() / (history.nnz + 0.5 * history.nnz)
    np.testing.assert_allclose(model.score(history)[0], model.mean[0] + model.item_bias + bias, rtol=1e-6)
