"""ALS and BPR on planted tastes, against implicit itself, and folding in against its own equations."""

import warnings

import numpy as np
import pandas as pd
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import optimize, sparse

from recutils.model.als import ALS, BPR, one_blas_thread
from recutils.tables import Interactions, Problem


@pytest.fixture
def liked(ratings: Interactions) -> Interactions:
    """Only what the planted users like: each half of the users met its own half of the items."""
    return ratings.only(ratings.value >= 4)


@pytest.mark.parametrize("model", [ALS(factors=2), BPR(factors=4, iterations=300)], ids=lambda model: model.name)
def test_two_planted_tastes_are_told_apart(model: ALS | BPR, liked: Interactions) -> None:
    scores = model.fit(liked).score(liked.matrix())
    users, items = np.indices(scores.shape)
    unseen = liked.matrix("binary").toarray() == 0
    same = scores[((users % 2) == (items % 2)) & unseen]
    other = scores[((users % 2) != (items % 2)) & unseen]
    assert (same[:, None] > other).mean() > 0.95


@pytest.mark.parametrize("values", ["binary", "value"])
def test_folding_in_solves_the_normal_equations(ratings: Interactions, values: str) -> None:
    model = ALS(factors=5, reg=0.3, alpha=4.0, values=values).fit(ratings)
    histories, factors = ratings.matrix(values), model.item_factors.astype(float)
    for user in (0, 7, 31):
        confidence, preference = np.ones(ratings.n_items), np.zeros(ratings.n_items)
        confidence[histories[user].indices] = 4.0 * histories[user].data
        preference[histories[user].indices] = 1
        normal = (factors.T * confidence) @ factors + 0.3 * np.eye(5)
        expected = np.linalg.solve(normal, factors.T @ (confidence * preference))
        np.testing.assert_allclose(model.fold_in(histories[user])[0], expected, rtol=1e-3, atol=1e-4)


def test_factors_are_those_of_implicit_on_any_number_of_threads(ratings: Interactions) -> None:
    model = ALS(factors=8, seed=3).fit(ratings)
    for threads in (1, 2):
        bare = AlternatingLeastSquares(8, 0.05, 10.0, iterations=15, num_threads=threads, random_state=3)
        with one_blas_thread():
            bare.fit(ratings.matrix("binary"), show_progress=False)
        assert np.array_equal(bare.item_factors, model.item_factors)
    assert not np.array_equal(ALS(factors=8, seed=4).fit(ratings).item_factors, model.item_factors)


def test_folding_a_training_user_in_gives_the_trained_factors(ratings: Interactions) -> None:
    model = ALS(factors=4, iterations=200).fit(ratings)
    bare = AlternatingLeastSquares(4, 0.05, 10.0, iterations=200, random_state=0)
    with one_blas_thread():
        bare.fit(ratings.matrix("binary"), show_progress=False)
    np.testing.assert_allclose(model.fold_in(ratings.matrix()), bare.user_factors, atol=0.01 * bare.user_factors.std())


def test_values_are_confidence_only_when_asked(ratings: Interactions) -> None:
    doubled = Interactions(ratings.rows.assign(value=2 * ratings.value), ratings.n_users, ratings.n_items)
    assert np.array_equal(ALS().fit(doubled).item_factors, ALS().fit(ratings).item_factors)
    assert not np.allclose(ALS(values="value").fit(doubled).item_factors, ALS(values="value").fit(ratings).item_factors)


def test_nothing_warns_of_threads(ratings: Interactions) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ALS(iterations=1).fit(ratings).score(ratings.matrix())
        BPR(iterations=1).fit(ratings).score(ratings.matrix())


@pytest.mark.parametrize("make", [ALS, BPR], ids=lambda make: make.name)
def test_items_nobody_met(make: type[ALS | BPR], ratings: Interactions) -> None:
    model = make().fit(ratings.only(ratings.item != 3))
    assert (model.score(ratings.matrix())[:, 3] == 0).all()
    history = sparse.csr_matrix(([5.0], ([0], [3])), shape=(1, ratings.n_items))
    assert np.isfinite(model.score(history)).all()


@pytest.mark.parametrize("make", [ALS, BPR], ids=lambda make: make.name)
def test_dislikes_as_negative_values_are_refused_with_the_cure(make: type[ALS | BPR], ratings: Interactions) -> None:
    signed = Interactions(ratings.rows.assign(value=ratings.value - 3), ratings.n_users, ratings.n_items)
    with pytest.raises(Problem, match=r"got -2. Keep the likes only, train.only\(train.value > 0\)"):
        make().fit(signed)
    with pytest.raises(Problem, match="0 or more; got -2"):
        make().fit(ratings).score(signed.matrix())


def test_bad_parameters_are_named() -> None:
    for make, given in ((ALS, {"factors": 0}), (ALS, {"reg": 0}), (ALS, {"alpha": -1}), (BPR, {"learning_rate": 0})):
        with pytest.raises(Problem, match=f"{next(iter(given))} must be a positive number"):
            make(**given)
    with pytest.raises(Problem, match="values must be"):
        ALS(values="ratings")


def test_bpr_knows_its_training_users_by_their_items(ratings: Interactions) -> None:
    model = BPR(factors=4).fit(ratings)
    np.testing.assert_array_equal(model.fold_in(ratings.matrix("binary")), model.user_factors)
    shorter = ratings.matrix()[7]
    shorter = sparse.csr_matrix((shorter.data[1:], ([0] * (shorter.nnz - 1), shorter.indices[1:])), shorter.shape)
    assert not np.allclose(model.fold_in(shorter)[0], model.user_factors[7])


def test_two_users_with_the_same_items_share_the_first_ones_factors() -> None:
    train = Interactions(pd.DataFrame({"user": [0, 0, 1, 1, 2], "item": [0, 1, 1, 0, 2], "value": 1.0}), 3, 3)
    model = BPR(factors=2).fit(train)
    np.testing.assert_array_equal(model.fold_in(train.matrix()), model.user_factors[[0, 0, 2]])


def test_bpr_folds_a_stranger_in_by_minimising_the_loss_it_names(ratings: Interactions) -> None:
    model, items = BPR(factors=3, reg=0.2, iterations=200).fit(ratings), np.array([2, 4, 11])
    share = model.popular.astype(float)
    share[items] = 0
    share /= share.sum()

    def loss(factors: np.ndarray) -> float:
        scores = model.item_factors @ factors + model.item_bias
        return np.log1p(np.exp(share @ scores - scores[items])).sum() + 0.2 * 3 / 2 * factors @ factors

    history = sparse.csr_matrix((np.ones(3), ([0] * 3, items)), shape=(1, ratings.n_items))
    best = optimize.minimize(loss, np.zeros(3), tol=1e-12)
    np.testing.assert_allclose(model.fold_in(history)[0], best.x, atol=1e-4)


def test_bpr_gives_a_stranger_the_taste_of_his_items(liked: Interactions) -> None:
    model = BPR(factors=4, iterations=300).fit(liked)
    history = sparse.csr_matrix((np.ones(2), ([0, 0], [2, 8])), shape=(1, liked.n_items))
    scores = model.score(history)[0] - model.item_bias
    assert scores[::2].min() > scores[1::2].max()
