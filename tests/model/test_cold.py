"""Maps to factors on planted data: groups that the vectors tell, kernels, networks, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.cold import TextMap, TextMixture, kernel_ridge, likeness, mixtures, smooth
from recutils.tables import Interactions, Problem

COLD = [4, 15, 26]  # one item of each group, never met


@pytest.fixture
def planted():
    """Three groups of ten items and of twenty people; vectors tell an item's group, cold items included."""
    rng = np.random.default_rng(5)
    met = (np.arange(60)[:, None] % 3 == np.arange(30) // 10) & (rng.random((60, 30)) < 0.7)
    met[:, COLD] = False
    users, items = np.nonzero(met)
    vectors = np.eye(3)[np.arange(30) // 10] + rng.normal(scale=0.1, size=(30, 3))
    return Interactions(pd.DataFrame({"user": users, "item": items, "value": 1.0}), 60, 30), vectors


MAKERS = [TextMap(kind="ridge", strength=0.1), TextMap(strength=0.1), TextMap(kind="neighbours", strength=3)]
MAKERS += [TextMap(kind="network", strength=s) for s in (1.0, 0.5)] + [TextMixture(penalty=0.1)]


@pytest.mark.parametrize("model", MAKERS, ids=lambda model: f"{model.name} {getattr(model, 'kind', '')}")
def test_cold_items_go_to_their_group(planted, model):
    train, vectors = planted
    scores = model.with_vectors(vectors).fit(train).score(train.matrix())[:, COLD]
    assert (scores.argmax(axis=1) == np.arange(60) % 3).mean() > 0.95


def test_warm_items_keep_their_factors_and_bases_add_up(planted):
    train, vectors = planted
    bases = [ALS(factors=4, alpha=1.0).fit(train), ALS(factors=6, alpha=10.0).fit(train)]
    model = TextMap().with_bases(bases).with_vectors(vectors).fit(train)
    warm = np.setdiff1d(np.arange(30), COLD)
    direct = sum(base.score(train.matrix()) for base in bases)
    np.testing.assert_allclose(model.score(train.matrix())[:, warm], direct[:, warm], atol=1e-4)
    assert model.parameters()["bases"] == [[4, 1.0], [6, 10.0]]


def test_a_kernel_may_be_given_instead_of_vectors(planted):
    train, vectors = planted
    given = TextMap().with_vectors(likeness([(vectors, 1.0)])).fit(train)
    own = TextMap().with_vectors(vectors).fit(train)
    np.testing.assert_allclose(given.item_factors, own.item_factors, atol=1e-5)


def test_kernel_ridge_by_hand():
    similarity = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    mix = kernel_ridge(similarity, np.array([True, True, False]), np.eye(2), 1.0)
    # the third item is like the first: half of its rest, the other half is the mean of both
    np.testing.assert_allclose(mix[2], [0.75, 0.25], atol=1e-6)


def test_mixtures_are_kernel_ridge_of_every_target(planted):
    train, vectors = planted
    square, known = likeness([(vectors, 1.0)]), ~np.isin(np.arange(30), COLD)
    targets = np.random.default_rng(1).normal(size=(27, 4))
    expected = kernel_ridge(square, known, targets, 0.5)[~known]
    np.testing.assert_allclose(mixtures(square, known, 0.5).T @ targets, expected, atol=1e-4)


def test_likeness_takes_sparse_and_sums_weights(planted):
    _, vectors = planted
    dense = np.abs(vectors)
    both = likeness([(dense, 2.0), (sparse.csr_matrix(dense), 1.0)])
    assert (
        both.shape == (30, 30) and np.allclose(np.diag(both), 3.0, atol=1e-4) and np.allclose(both, both.T, atol=1e-5)
    )
    with pytest.raises(Problem, match="same 30 items"):
        likeness([(dense, 1.0), (dense[:5], 1.0)])


def test_years_are_smooth_and_may_miss():
    found = smooth(pd.Series([1990, 1991, 1930, None], dtype="Int64"))
    assert found[0] @ found[1] > 5 * (found[0] @ found[2]) and not found[3].any()
    with pytest.raises(Problem, match="all numbers are missing"):
        smooth(pd.Series([None, None], dtype="Int64"))


def test_unknown_kinds_are_refused():
    with pytest.raises(Problem, match="kind must be one of"):
        TextMap(kind="magic")
    with pytest.raises(Problem, match="strength"):
        TextMap(strength=0)
