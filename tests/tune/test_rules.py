"""The rules a language model must beat: by hand, and on windows with a planted taste."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from recutils.tables import Problem
from recutils.tune import rules
from recutils.tune.windows import Window, labels_of

VECTORS = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=np.float32)
ONE = Window(0, (0, 2), (True, False), (1, 3), (True, False))


def test_shares_and_closeness_by_hand() -> None:
    assert rules.shares([ONE]).tolist() == [0.5, 0.5]
    close = rules.closeness([ONE], VECTORS)
    assert close[0] == pytest.approx((1 - 0.1) / np.hypot(1, 0.1), abs=1e-6) and close[1] == pytest.approx(
        -close[0], abs=1e-6
    )
    assert rules.closeness([ONE], sparse.csr_matrix(VECTORS)) == pytest.approx(close, abs=1e-6)
    alone = Window(0, (0,), (True,), (1,), (True,))
    assert rules.closeness([alone], VECTORS) == pytest.approx([1 / np.hypot(1, 0.1)], abs=1e-6)


def test_item_means_know_only_the_people_named(events) -> None:
    means = rules.item_means(events, range(10), weight=5)
    assert means[:4] == pytest.approx([(10 + 5 * 0.5) / 15] * 4) and means[4:] == pytest.approx([2.5 / 15] * 4)
    assert rules.popularity(events, [3, 4]).tolist() == [2] * 8


def test_features_hold_the_share_and_both_kinds_of_vectors_agree(asked) -> None:
    vectors = np.eye(8, dtype=np.float32)
    dense, thin = rules.features(asked, vectors), rules.features(asked, sparse.csr_matrix(vectors))
    assert dense.shape == (2 * len(asked), 27) and thin.toarray() == pytest.approx(dense, abs=1e-6)
    assert dense[:, -1] == pytest.approx(rules.shares(asked))


def test_regression_finds_a_planted_taste(asked) -> None:
    found = rules.learnt(asked[16:], np.eye(8, dtype=np.float32), asked[:10], asked[10:16])
    assert roc_auc_score(labels_of(asked[16:]), found.scores) > 0.95 and found.strength in rules.STRENGTHS
    simple = rules.Simple(np.ones(8), np.ones(8), np.eye(8))
    assert all(scores.shape == (2 * len(asked),) for scores in simple.scores(asked).values())


def test_labels_of_one_kind_are_refused() -> None:
    table = np.zeros((3, 2))
    with pytest.raises(Problem, match="both kinds"):
        rules.logistic(table, np.ones(3), table, np.array([0, 1, 0]), table)
