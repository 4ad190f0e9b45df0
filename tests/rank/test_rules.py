"""Rules on four baskets that can be checked on paper."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.rank.rules import first_parts, mine, out_of_order
from recutils.tables import Interactions, Problem

BASKETS = [[0, 1, 2], [0, 1], [0, 2], [1]]  # bread, butter, jam


@pytest.fixture
def baskets():
    pairs = [(user, item, 1.0) for user, basket in enumerate(BASKETS) for item in basket]
    return Interactions(pd.DataFrame(pairs, columns=["user", "item", "value"]), 4, 4)


def test_support_confidence_and_lift_by_hand(baskets):
    rules = mine(baskets, min_support=1, min_confidence=0)
    found = rules.table.set_index(["if_item", "then_item"])
    assert len(rules) == 6
    assert found.loc[(2, 0), "support"] == 2
    assert found.loc[(2, 0), "confidence"] == 1.0
    assert found.loc[(2, 0), "lift"] == pytest.approx(4 / 3)
    assert found.loc[(0, 1), "confidence"] == pytest.approx(2 / 3)
    assert found.loc[(0, 1), "lift"] == pytest.approx((2 / 3) / (3 / 4))
    assert rules.table.confidence.is_monotonic_decreasing


def test_thresholds_cut(baskets):
    assert len(mine(baskets, min_support=2, min_confidence=0)) == 4
    assert mine(baskets, min_support=1, min_confidence=0.9).table[["if_item", "then_item"]].to_numpy().tolist() == [
        [2, 0]
    ]


@pytest.mark.parametrize("wrong", [{"min_support": 0}, {"min_confidence": 1.5}])
def test_impossible_thresholds_are_refused(baskets, wrong):
    with pytest.raises(Problem, match="at least 1 basket"):
        mine(baskets, **wrong)


def test_the_best_rule_that_fires_scores(baskets):
    rules = mine(baskets, min_support=1, min_confidence=0)
    histories = sparse.csr_matrix([[0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float32)
    scores = rules.score(histories)
    assert scores[0, 0] == 1.0, "jam's rule is surer than butter's"
    assert not scores[1:].any(), "an empty history and an unknown item fire no rule"
    assert scores.dtype == np.float32


def test_measures_are_checked(baskets):
    with pytest.raises(Problem, match="support, confidence or lift"):
        mine(baskets, min_support=1).matrix("weight")


def test_earlier_parts_reach_back_through_the_series():
    parts = first_parts(np.array([[0, 1], [1, 2]]), 4)
    assert parts.toarray().astype(int).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_a_circle_of_sequels_ends():
    parts = first_parts(np.array([[0, 1], [1, 0]]), 2)
    assert parts.toarray().astype(int).tolist() == [[0, 1], [1, 0]]


def test_what_is_shown_out_of_order():
    parts = first_parts(np.array([[0, 1], [1, 2]]), 4)
    histories = sparse.csr_matrix([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    assert out_of_order(histories, parts).tolist() == [
        [False, False, True, False],
        [False, False, False, False],
        [False, True, True, False],
    ]
