"""Blends of planted scores."""

import numpy as np
import pytest
from scipy import sparse

from recutils.rank.blend import Blend, climb
from recutils.tables import Problem


class Fixed:
    """Gives the same scores to every history."""

    def __init__(self, *scores: float) -> None:
        self.scores = np.array(scores, dtype=np.float32)

    def score(self, histories: sparse.csr_matrix) -> np.ndarray:
        return np.tile(self.scores, (histories.shape[0], 1))


TWO = sparse.csr_matrix((2, 3))


def test_scales_do_not_matter_and_shares_do() -> None:
    models = {"small": Fixed(1, 2, 3), "large": Fixed(3000, 2000, 1000)}
    equal = Blend(models, {"small": 1, "large": 1}).score(TWO)
    np.testing.assert_allclose(equal, np.zeros((2, 3)), atol=1e-6)
    assert Blend(models, {"small": 2, "large": 1}).score(TWO).argmax(axis=1).tolist() == [2, 2]


def test_one_model_alone_keeps_its_order_and_a_share_of_zero_asks_nothing() -> None:
    scores = Blend({"only": Fixed(5, 7, 6), "absent": None}, {"only": 1, "absent": 0}).score(TWO)
    assert scores.shape == (2, 3) and scores.dtype == np.float32
    assert np.argsort(scores[0]).tolist() == [0, 2, 1]


def test_equal_scores_say_nothing() -> None:
    scores = Blend({"flat": Fixed(4, 4, 4), "one": Fixed(1, 0, 0)}, {"flat": 9, "one": 1}).score(TWO)
    assert np.isfinite(scores).all() and scores[0].argmax() == 0


def test_bad_shares_are_named() -> None:
    with pytest.raises(Problem, match="each model needs one share"):
        Blend({"a": Fixed(1)}, {"b": 1})
    with pytest.raises(Problem, match="one above 0"):
        Blend({"a": Fixed(1)}, {"a": 0})


def test_climbing_finds_a_planted_top_and_counts_its_tries() -> None:
    asked = []

    def value(shares: dict[str, float]) -> float:
        asked.append(tuple(shares.values()))
        return -((shares["a"] - 1.25) ** 2) - (shares["b"] - 0.5) ** 2 - shares["c"]

    found = climb(value, {"a": 0.0, "b": 0.0, "c": 1.0})
    assert found.shares == {"a": 1.25, "b": 0.5, "c": 0.0}
    assert found.value == 0 and found.n_tried >= len(set(asked)) == len(asked), "no shares are judged twice"
    assert min(min(one) for one in asked) >= 0 and (0.0, 0.0, 0.0) not in asked


def test_a_start_without_shares_is_named() -> None:
    with pytest.raises(Problem, match="start must have shares of 0 or more and one above 0"):
        climb(lambda shares: 0.0, {"a": 0.0})
