"""Abstention on planted scores, shares and F1 on paper."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from recutils.evaluate.abstain import least_sure, macro_f1, macro_f1_bounds, risk_coverage, share
from recutils.tables import Problem


def test_the_threshold_is_the_lowest_that_keeps_the_goal() -> None:
    sure = np.linspace(1, 0.01, 100)
    right = np.arange(100) < 60
    limit = least_sure(sure, right, 0.2)
    answered = sure >= limit
    assert (~right[answered]).mean() <= 0.2 < (~right[: answered.sum() + 1]).mean()
    assert least_sure(sure, np.zeros(100, bool), 0.2) == np.inf
    assert least_sure(sure, right, 0.0) == pytest.approx(sure[59])


def test_few_answers_choose_no_threshold() -> None:
    assert least_sure(np.arange(9.0), np.ones(9, bool), 0.0) == np.inf


def test_equal_sureness_is_answered_together() -> None:
    curve = risk_coverage(np.full(4, 0.5), np.array([True, False, True, True]))
    assert curve.coverage.tolist() == [1.0] and curve.risk.tolist() == [0.25]


def test_order_of_questions_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    sure, right = rng.integers(0, 5, 50) / 5, rng.random(50) < 0.5
    order = rng.permutation(50)
    assert np.array_equal(risk_coverage(sure, right).risk, risk_coverage(sure[order], right[order]).risk)


@pytest.mark.parametrize("sure", [np.array([]), np.array([np.nan]), np.ones((1, 1))])
def test_scores_that_say_nothing_are_refused(sure: np.ndarray) -> None:
    with pytest.raises(Problem):
        risk_coverage(sure, np.ones(sure.shape, bool))
    with pytest.raises(Problem):
        least_sure(np.ones(20), np.ones(20, bool), 1.0)


def test_shares_are_exact() -> None:
    assert share(0, 10) == (0, 0, pytest.approx(1 - 0.025**0.1))
    assert share(10, 10)[2] == 1
    with pytest.raises(Problem):
        share(3, 2)


def test_macro_f1_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels, answers = rng.integers(0, 4, 200), rng.integers(0, 5, 200)
    expected = f1_score(labels, answers, labels=range(4), average="macro")
    assert macro_f1(labels, answers, 5) == pytest.approx(expected)
    doubled = macro_f1(labels, answers, 5, np.full(200, 2.0))
    assert doubled == pytest.approx(expected)
    mean, low, high = macro_f1_bounds(labels, [answers, labels], 5, seed=0, draws=50)
    assert low < mean < high and mean == pytest.approx((expected + 1) / 2)
