"""Peeking: false alarms of each rule, evidence by hand, and the confidence sequence."""

import numpy as np
import pytest
from scipy import stats

from recutils.evaluate.peeking import (
    Looks,
    compare_rules,
    fixed_p,
    log_evidence,
    rules,
    share_sequence,
    simulate,
    stopped,
    strength_for,
)
from recutils.tables import Problem

VISITS = np.arange(1, 21) * 1500


def test_evidence_by_hand() -> None:
    # Beta(1, 1): one click in the second arm has chance 1/2 under both; two there have 1/3 against 1/4
    assert np.exp(log_evidence(np.array([0, 0, 1]), np.array([1, 2, 1]), 1)) == pytest.approx([1, 4 / 3, (1 / 6) * 4])


def test_evidence_has_mean_one_under_a_fair_coin() -> None:
    counts = np.arange(31)
    chance = stats.binom.pmf(counts, 30, 0.5)
    assert chance @ np.exp(log_evidence(30 - counts, counts, 7.5)) == pytest.approx(1)


def test_fixed_p_is_the_two_proportion_test() -> None:
    from statsmodels.stats.proportion import proportions_ztest

    looks = Looks(np.array([[0, 40]]), np.array([[0, 60]]), np.array([10, 1000]))
    assert fixed_p(looks)[0] == pytest.approx([1, proportions_ztest([40, 60], [1000, 1000])[1]])


def test_peeking_raises_false_alarms_and_the_sequence_does_not() -> None:
    null, other = simulate(0.005, 0.005, VISITS, 0, tests=4000), simulate(0.005, 0.008, VISITS, 1, tests=4000)
    found = compare_rules(null, other, strength_for(0.005, 0.008)).set_index("rule")
    alarms = found.false_alarms
    assert alarms["one look at the end"] == pytest.approx(0.05, abs=0.012)
    assert alarms["fixed test at every look"] > 0.18
    assert found.bound[["beta-binomial at every look", "fixed test, 5 % shared out"]].max() < 0.05
    assert (found.bound >= found.false_alarms).all()
    assert found.power["one look at the end"] > found.power["beta-binomial at every look"] > 0.5
    assert found.visits["beta-binomial at every look"] < found.visits["one look at the end"] == VISITS[-1]


def test_the_sequence_keeps_its_error_at_every_click() -> None:
    rng = np.random.default_rng(0)
    b = (rng.random((2000, 300)) < 0.5).cumsum(axis=1)
    a = np.arange(1, 301) - b
    assert (log_evidence(a, b, 15) >= np.log(20)).any(axis=1).mean() < 0.05


def test_stopped_only_grows() -> None:
    stops = np.array([[False, True, False], [False, False, True]])
    assert stopped(stops).tolist() == [0, 0.5, 1]


def test_rules_do_not_change_their_looks() -> None:
    looks = simulate(0.01, 0.01, VISITS[:3], 0, tests=50)
    before = looks.a.copy()
    for rule in rules(5).values():
        assert rule(looks).shape == (50, 3)
    np.testing.assert_array_equal(looks.a, before)


def test_share_sequence_agrees_with_the_evidence() -> None:
    for a, b in ((46, 69), (10, 60), (0, 0), (0, 5), (5, 0)):
        low, high = share_sequence(a, b, 15)
        assert 0 <= low < high <= 1
        if a + b:
            assert low <= b / (a + b) <= high
        assert (low > 0.5 or high < 0.5) == (log_evidence(np.array(a), np.array(b), 15) >= np.log(20))
    narrow = np.diff(share_sequence(460, 690, 15))
    assert narrow < np.diff(share_sequence(46, 69, 15))


def test_strength_spreads_as_far_as_the_hope() -> None:
    strength = strength_for(0.35, 0.5)
    assert stats.beta(strength, strength).std() == pytest.approx(0.5 / 0.85 - 0.5)
    assert strength_for(0.1, 0.9) >= 0.5


def test_nonsense_is_refused() -> None:
    for call in (lambda: simulate(0.1, 0.1, np.array([5, 5]), 0), lambda: simulate(-0.1, 0.1, VISITS, 0),
                 lambda: simulate(0.1, 0.1, np.array([], dtype=int), 0), lambda: strength_for(0.1, 0.1),
                 lambda: log_evidence(np.array(1), np.array(1), 0)):  # fmt: skip
        with pytest.raises(Problem):
            call()
