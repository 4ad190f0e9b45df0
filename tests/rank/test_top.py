"""Masking, order and ties of ranked lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recutils.rank.top import BLOCK, as_table, recommend, top_k
from recutils.tables import Problem


def slow(scores: np.ndarray, seen: np.ndarray, k: int) -> np.ndarray:
    """The same lists by a full stable sort."""
    masked = np.where(seen, -np.inf, scores)
    order = np.argsort(-masked, axis=1, kind="stable")[:, :k]
    return np.where(np.isneginf(np.take_along_axis(masked, order, axis=1)), -1, order)


def test_ties_go_to_the_lower_item_and_seen_items_vanish() -> None:
    scores = np.array([[1.0, 3.0, 3.0, -2.0], [0.0, -0.0, 0.0, -1.0]], dtype=np.float32)
    seen = sparse.csr_matrix(np.array([[0, 1, 0, 0], [0, 0, 0, 0]]))
    before = scores.copy()
    assert top_k(scores, seen, 3).tolist() == [[2, 0, 3], [0, 1, 2]]
    assert np.array_equal(scores, before)


def test_short_lists_are_filled_with_minus_one() -> None:
    seen = sparse.csr_matrix(np.array([[1, 1, 0]]))
    assert top_k(np.zeros((1, 3)), seen, 3).tolist() == [[2, -1, -1]]


def test_a_stored_zero_counts_as_seen() -> None:
    seen = sparse.csr_matrix((np.array([0.0]), (np.array([0]), np.array([1]))), shape=(1, 3))
    assert top_k(np.array([[1.0, 9.0, 2.0]]), seen, 1).tolist() == [[2]]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 4))
def test_equals_a_full_stable_sort(seed: int, n_items: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-levels, levels, (5, n_items)).astype(np.float32) / 3
    seen = rng.random((5, n_items)) < 0.4
    k = int(rng.integers(1, n_items + 1))
    assert np.array_equal(top_k(scores, sparse.csr_matrix(seen), k), slow(scores, seen, k))


@pytest.mark.parametrize("levels", [1, 3, 40, 100_000])
@pytest.mark.parametrize("k", [1, 10, 25])
def test_a_wide_catalogue_with_few_or_many_ties_equals_a_full_stable_sort(levels: int, k: int) -> None:
    rng = np.random.default_rng(levels + k)
    scores = rng.integers(-levels, levels, (300, 1000)).astype(np.float32) / 7
    scores[:40] = np.sort(scores[:40], axis=1)  # the best stand in one stretch of columns
    scores[40:50] *= 0
    seen = rng.random(scores.shape) < 0.1
    seen[:5, 3:] = True  # lists run out
    assert np.array_equal(top_k(scores, sparse.csr_matrix(seen), k), slow(scores, seen, k))


def test_scores_without_bounds_keep_their_order() -> None:
    scores = np.zeros((1, 700), dtype=np.float32)
    scores[0, [5, 600, 30]] = np.inf, 1e38, -np.inf
    scores[0, 7] = -0.0
    assert top_k(scores, None, 5).tolist() == [[5, 600, 0, 1, 2]]


@pytest.mark.parametrize("k", [0, 4, -1])
def test_k_outside_the_catalogue_is_refused(k: int) -> None:
    with pytest.raises(Problem, match=r"k must lie in 1\.\.3"):
        top_k(np.zeros((1, 3)), None, k)


def test_nan_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(Problem, match="NaN"):
        top_k(np.array([[np.nan, 1.0]]), None, 1)
    with pytest.raises(Problem, match="one shape"):
        top_k(np.zeros((1, 3)), sparse.csr_matrix((2, 3)), 1)


class Echo:
    """Scores are the history itself plus the item row."""

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return histories.toarray() + np.arange(histories.shape[1])


def test_blocks_change_nothing_and_candidates_limit() -> None:
    histories = sparse.random(BLOCK + 7, 9, 0.3, random_state=np.random.default_rng(1), format="csr")
    whole = top_k(Echo().score(histories), histories, 4)
    assert np.array_equal(recommend(Echo(), histories, 4), whole)
    limited = recommend(Echo(), histories, 4, candidates=np.array([1, 5]))
    assert set(np.unique(limited)) <= {-1, 1, 5}
    with pytest.raises(Problem, match="no history"):
        recommend(Echo(), histories[:0], 4)


def test_table_leaves_fill_entries_out() -> None:
    table = as_table(np.array([[3, -1], [2, 0]]), np.array([7, 9]))
    assert table.to_numpy().tolist() == [[7, 3, 1], [9, 2, 1], [9, 0, 2]]
