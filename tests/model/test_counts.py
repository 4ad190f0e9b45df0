"""Counts as confidence: each weighting by hand, the common scale, bad input."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model.als import ALS
from recutils.model.counts import WEIGHTINGS, CountsALS
from recutils.tables import Interactions, Problem

ROWS = pd.DataFrame({"user": [0, 0, 0, 1, 1], "item": [0, 1, 2, 0, 3], "value": [1.0, 1.0, 4.0, 3.0, 1.0]})
TRAIN = Interactions(ROWS, 2, 4)


def strengths(weighting: str) -> np.ndarray:
    model = CountsALS(weighting=weighting, factors=2, iterations=1).fit(TRAIN)
    return model._strengths(TRAIN.matrix()).data


def test_weightings_by_hand():
    counts = np.array([1, 1, 4, 3, 1.0])
    expected = {
        "binary": np.ones(5),
        "raw": counts,
        "log": np.log1p(counts),
        "share": counts / np.array([2, 2, 2, 2, 2]),
        "rank": np.array([0.5, 0.5, 1, 1, 0.5]),
    }
    for weighting, wanted in expected.items():
        np.testing.assert_allclose(strengths(weighting), wanted / wanted.mean(), rtol=1e-5)


def test_bm25_is_what_implicit_computes():
    from implicit.nearest_neighbours import bm25_weight

    wanted = bm25_weight(TRAIN.matrix().T.tocsr(), K1=100, B=0.8).T.tocsr()
    wanted.sort_indices()
    data = np.maximum(wanted.data, 0)
    # user 0 has 3 of 4 items, so that log 4 - log(1 + 3) is 0
    np.testing.assert_allclose(strengths("bm25"), data / data.mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_strengths_have_mean_one_and_an_empty_history_none(weighting):
    model = CountsALS(weighting=weighting, factors=2, iterations=1).fit(TRAIN)
    assert model._strengths(TRAIN.matrix()).data.mean() == pytest.approx(1, rel=1e-5)
    assert model._strengths(sparse.csr_matrix((2, 4), dtype=np.float32)).nnz == 0


def test_binary_is_als():
    options = {"factors": 3, "alpha": 4.0, "iterations": 3, "seed": 1}
    ours, plain = CountsALS(weighting="binary", **options).fit(TRAIN), ALS(**options).fit(TRAIN)
    np.testing.assert_array_equal(ours.score(TRAIN.matrix()), plain.score(TRAIN.matrix()))


def test_an_unknown_weighting_is_refused():
    with pytest.raises(Problem, match="weighting must be one of binary, raw"):
        CountsALS(weighting="square")
