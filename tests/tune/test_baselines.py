"""Rules that a tuned encoder must beat: they find what is planted, and give nothing to classes that never occur."""

import numpy as np

from recutils.tune.baselines import counted_words, linear, majority


def test_the_majority_says_the_shares_of_the_training_labels() -> None:
    assert majority(np.array([0, 1, 1, 1]), 2, 3).tolist() == [[0.25, 0.75, 0.0]] * 2


def test_counted_words_find_the_words_that_decide(planted) -> None:
    found = counted_words(planted.texts[:140], planted.labels[:140], planted.texts[140:], n_classes=3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == planted.labels[140:]).all() and not found[:, 2].any()


def test_a_linear_rule_finds_what_is_planted_in_vectors() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, size=300)
    vectors = np.eye(3)[labels] @ rng.normal(size=(3, 8)) * 3 + rng.normal(size=(300, 8))
    found = linear(vectors[:200], labels[:200], vectors[200:], n_classes=4)
    assert found.shape == (100, 4) and not found[:, 3].any()
    assert (found.argmax(axis=1) == labels[200:]).mean() > 0.9


def test_a_class_with_a_single_row_is_no_reason_to_stop() -> None:
    vectors, labels = np.array([[0.0], [0.1], [5.0]]), np.array([0, 0, 1])
    low, high = linear(vectors, labels, np.array([[0.0], [5.0]]))[:, 1]
    assert low < high
