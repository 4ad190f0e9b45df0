"""SLIM against EASE, against coordinate descent, and on a planted pair."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model import slim
from recutils.model.ease import EASE
from recutils.model.slim import SLIM
from recutils.tables import Interactions, Problem

# Users 0 and 1 met items 0 and 1, user 2 met item 2.
THREE = Interactions(pd.DataFrame({"user": [0, 0, 1, 1, 2], "item": [0, 1, 0, 1, 2], "value": 5.0}), 3, 3)


def test_three_items_by_hand() -> None:
    # Column 0 minimises (2 - 4b + 2b^2) / 2 + b^2 / 2 + l1 b in b, the weight of item 1: b = (2 - l1) / 3.
    model = SLIM(reg=1.0, l1=0.5, rho=2.0, rounds=200).fit(THREE)
    np.testing.assert_allclose(model.weights.toarray(), [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]], atol=1e-5)
    assert model.density() == pytest.approx(2 / 6)
    assert SLIM(reg=1.0, l1=2.0, rho=2.0, rounds=200).fit(THREE).weights.nnz == 0


def test_without_l1_and_with_negative_weights_it_is_ease(ratings: Interactions) -> None:
    dense = EASE(reg=20.0, values="value", power=0.5, balance=0.5).fit(ratings).weights
    found = (
        SLIM(reg=20.0, l1=0.0, positive=False, rho=20.0, values="value", power=0.5, balance=0.5).fit(ratings).weights
    )
    np.testing.assert_allclose(found.toarray(), dense, atol=2e-5)


def test_each_column_is_the_elastic_net_of_scikit_learn(ratings: Interactions) -> None:
    from sklearn.linear_model import ElasticNet

    known, l1, reg = ratings.matrix("binary").toarray().astype(float), 0.6, 2.0
    found = SLIM(reg=reg, l1=l1, rho=5.0, rounds=500).fit(ratings).weights.toarray()
    n = len(known)
    net = ElasticNet(
        (l1 + reg) / n, l1_ratio=l1 / (l1 + reg), fit_intercept=False, positive=True, tol=1e-10, max_iter=9999
    )
    others = np.delete(np.arange(ratings.n_items), 4)
    np.testing.assert_allclose(found[others, 4], net.fit(known[:, others], known[:, 4]).coef_, atol=2e-4)
    assert (np.diag(found) == 0).all() and (found >= 0).all()


def test_a_larger_l1_keeps_fewer_weights(ratings: Interactions) -> None:
    kept = [SLIM(reg=5.0, l1=l1, rho=20.0).fit(ratings).density() for l1 in (0.0, 0.5, 2.0, 100.0)]
    assert kept == sorted(kept, reverse=True) and kept[0] > kept[2] > kept[3] == 0


def test_bad_parameters_and_sizes_are_named(ratings: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ({"l1": -1.0}, {"rho": 0.0}, {"rounds": 0}):
        with pytest.raises(Problem, match="l1 must be 0 or more, rho above 0, rounds 1 or more"):
            SLIM(**given)
    with pytest.raises(Problem, match="reg must be a positive number"):
        SLIM(reg=0.0)
    monkeypatch.setattr(slim, "MOST_ITEMS", 29)
    with pytest.raises(Problem, match="at most 29 items, got 30"):
        SLIM().fit(ratings)


def test_a_history_of_items_nobody_met_gives_popularity(ratings: Interactions) -> None:
    model = SLIM(reg=5.0, l1=0.1).fit(ratings.only(ratings.item != 3))
    history = sparse.csr_matrix(([5.0], ([0], [3])), shape=(1, ratings.n_items))
    assert np.array_equal(model.score(history)[0], model.popular)
