"""Exact neighbours: planted answers, ties, zero vectors, and agreement with a plain loop."""

import numpy as np
import pytest

from recutils.encode.search import nearest
from recutils.tables import Problem

CORNERS = np.array([[1, 0], [0, 2], [3, 3], [-1, 0], [0, 0]], dtype=np.float32)


def test_planted_neighbours_and_their_cosines():
    found = nearest(CORNERS, np.array([[2.0, 0.0]]), k=5)
    assert found.rows.tolist() == [[0, 2, 1, 4, 3]]
    np.testing.assert_allclose(found.cosine, [[1, 0.707107, 0, 0, -1]], atol=1e-6)
    assert found.rows.dtype == np.int32
    assert found.cosine.dtype == np.float32


def test_ties_keep_the_order_of_rows_in_any_block():
    vectors = np.tile(np.random.default_rng(0).normal(size=(3, 384)), (40, 1)).astype(np.float32)
    whole, single = nearest(vectors, vectors, k=40), nearest(vectors, vectors, k=40, block=1)
    for row in range(len(vectors)):
        assert whole.rows[row].tolist() == list(range(row % 3, 120, 3))
    np.testing.assert_array_equal(whole.rows, single.rows)
    np.testing.assert_array_equal(whole.cosine, single.cosine)


def test_agrees_with_a_plain_loop():
    rng = np.random.default_rng(1)
    vectors, queries = rng.normal(size=(50, 8)), rng.normal(size=(7, 8))
    found = nearest(vectors, queries, k=6, block=3)
    for query, rows, cosine in zip(queries, found.rows, found.cosine, strict=True):
        plain = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
        assert rows.tolist() == np.argsort(-plain)[:6].tolist()
        np.testing.assert_allclose(cosine, np.sort(plain)[::-1][:6], atol=1e-6)


def test_length_does_not_matter_and_the_input_stays():
    vectors = CORNERS.copy()
    found = nearest(vectors * 1e-20, CORNERS[:3] * 1e10, k=3)
    np.testing.assert_array_equal(found.rows, nearest(CORNERS, CORNERS[:3], k=3).rows)
    np.testing.assert_array_equal(vectors, CORNERS)


def test_an_empty_text_is_near_to_nothing():
    assert nearest(CORNERS, CORNERS[4], k=5).cosine.tolist() == [[0, 0, 0, 0, 0]]


def test_no_queries_give_no_lists():
    assert nearest(CORNERS, np.empty((0, 2)), k=2).rows.shape == (0, 2)


@pytest.mark.parametrize(
    ("queries", "k", "block", "message"),
    [
        (np.ones((1, 3)), 1, 1, r"must share d; got \(5, 2\) and \(1, 3\)"),
        (np.ones((1, 2)), 0, 1, r"k must lie in 1\.\.5"),
        (np.ones((1, 2)), 6, 1, r"k must lie in 1\.\.5"),
        (np.ones((1, 2)), 1, 0, "block must be at least 1"),
        (np.array([[1, 2], [np.nan, 1]]), 1, 1, "queries: row 1 holds NaN"),
    ],
)
def test_what_does_not_fit_is_refused(queries, k, block, message):
    with pytest.raises(Problem, match=message):
        nearest(CORNERS, queries, k, block=block)
