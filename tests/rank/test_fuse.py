"""Fusion and pooling of planted rankings."""

import numpy as np
import pytest
from scipy import sparse

from recutils.rank.fuse import places, pooled, reciprocal_rank, stored
from recutils.tables import Problem


class Fixed:
    """Gives the same scores to every history."""

    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return np.tile(self.scores, (histories.shape[0], 1))


def test_places_count_unseen_items_first_and_break_ties_by_row() -> None:
    scores = np.array([[0.5, 0.9, 0.5, 0.1]])
    assert places(scores, np.array([[False, True, False, False]])).tolist() == [[1, 4, 2, 3]]


def test_reciprocal_rank_on_paper() -> None:
    fused = reciprocal_rank({"a": np.array([[1, 2, 3]]), "b": np.array([[3, 1, 2]])}, constant=1)
    np.testing.assert_allclose(fused, [[1 / 2 + 1 / 4, 1 / 3 + 1 / 2, 1 / 4 + 1 / 3]], rtol=1e-6)


def test_a_handicap_makes_a_source_wait() -> None:
    lists = {"main": np.array([[0, 1, 2]]), "other": np.array([[9, 8, 7]])}
    assert pooled(lists, {"main": 1, "other": 3}, 3, 10).tolist() == [[0, 1, 2]]  # a tie at 3: the lower row
    assert pooled(lists, {"main": 1, "other": 2}, 3, 10).tolist() == [[0, 1, 9]]
    assert pooled(lists, {"main": 2, "other": 1}, 3, 10).tolist() == [[0, 8, 9]]


def test_a_list_that_runs_out_offers_nothing() -> None:
    assert pooled({"short": np.array([[4, -1]])}, {"short": 1}, 1, 5).tolist() == [[4]]


def test_stored_zeros_count_as_met() -> None:
    assert stored(sparse.csr_matrix((np.array([0.0]), ([0], [1])), shape=(1, 2))).tolist() == [[False, True]]


@pytest.mark.parametrize("wrong", [{"n": 0}, {"n": 11}, {"handicaps": {}}, {"lists": {}}])
def test_bad_pools_are_refused(wrong: dict) -> None:
    given = {"lists": {"main": np.array([[0, 1]])}, "handicaps": {"main": 1.0}, "n": 1, "n_items": 10} | wrong
    with pytest.raises(Problem):
        pooled(**given)


def test_bad_fusions_are_refused() -> None:
    with pytest.raises(Problem, match="at least one source"):
        reciprocal_rank({})
    with pytest.raises(Problem, match="constant"):
        reciprocal_rank({"a": np.ones((1, 2))}, -1)
