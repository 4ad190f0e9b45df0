"""Rules without words: counted by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.data.pairs import Pairs
from recutils.tables import Interactions, Problem
from recutils.tune.simple import blended, by_numbers, item_counts, item_means, likeness

ROWS = pd.DataFrame({"user": [0, 0, 1, 2], "item": [0, 1, 0, 2], "value": [5.0, 1.0, 3.0, 5.0]})
FOUND = Interactions(ROWS, 3, 3)


def test_item_means_by_hand_and_only_of_these_users() -> None:
    np.testing.assert_allclose(item_means(FOUND, np.array([0, 1]), damping=1.0), [11 / 3, 2.0, 3.0])
    assert item_counts(FOUND, np.array([0, 1])).tolist() == [2, 1, 0]
    with pytest.raises(Problem, match="training part"):
        item_means(FOUND, np.array([9]))


def test_numbers_become_probabilities_of_all_classes() -> None:
    labels = np.array([0, 2] * 20)
    found = by_numbers(labels[:, None] * 1.0, labels, np.array([[0.0], [2.0]]), n_classes=3)
    assert found.shape == (2, 3) and found[:, 1].tolist() == [0, 0] and found.argmax(axis=1).tolist() == [0, 2]


def test_few_labels_do_not_turn_a_rule_round() -> None:
    found = by_numbers(np.array([[0.0], [1.0], [2.0]]), np.array([1, 0, 0]), np.array([[0.0], [5.0]]))
    assert found[0, 1] < found[1, 1] and found[:, 1] == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix])
def test_likeness_is_the_cosine_to_the_history_s_mean(make) -> None:
    vectors = make(np.eye(3, dtype=np.float32))
    pairs = Pairs(
        name="two", texts=("a", "b"), seconds=("c", "d"), labels=np.array([0, 1]), classes=("no", "yes"),
        groups=np.array([0, 1]), items=np.array([0, 2]), before=(np.array([0, 1]), np.array([0])),
        values=(np.ones(2), np.ones(1)), positions=np.array([-1, 0]),
    )  # fmt: skip
    np.testing.assert_allclose(likeness(pairs, vectors), [1 / np.sqrt(2), 0], atol=1e-6)


def test_a_blend_is_the_mean_of_the_log_odds() -> None:
    one, other = (np.array([[1 - p, p]]) for p in (0.9, 0.6))
    odds = np.sqrt(9 * 1.5)
    np.testing.assert_allclose(blended(one, other), [[1 / (1 + odds), odds / (1 + odds)]])
    np.testing.assert_allclose(blended(one, one), one)
    assert np.isfinite(blended(np.array([[1.0, 0.0]]), one)).all()
