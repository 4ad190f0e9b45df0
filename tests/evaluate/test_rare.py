"""Intervals of rare weighted clicks: exact cases, laws, and coverage in a small world."""

import numpy as np
import pytest
from scipy import stats

from recutils.evaluate.rare import (
    INTERVALS,
    Terms,
    betting,
    coverage,
    difference,
    gamma,
    gamma_typical,
    normal,
    percentile,
    pooled,
    terms_of,
    with_interval,
)
from recutils.evaluate.statistics import Interval
from recutils.tables import Problem

ONES = Terms(np.ones(20), 1000, 0, 1, 1)


def test_equal_weights_give_the_exact_poisson_interval() -> None:
    exact = stats.chi2.ppf(0.025, 40) / 2000, stats.chi2.ppf(0.975, 42) / 2000
    assert gamma(ONES) == pytest.approx(exact) and gamma_typical(ONES) == pytest.approx(exact)


def test_normal_is_the_textbook_one() -> None:
    values = np.r_[np.ones(20), np.zeros(980)]
    reach = 1.959964 * values.std() / np.sqrt(1000)
    assert normal(ONES) == pytest.approx((0.02 - reach, 0.02 + reach), rel=1e-5)


def test_percentile_follows_the_spread() -> None:
    low, high = percentile(ONES, draws=20_000)
    assert (low, high) == pytest.approx((0.012, 0.029), abs=0.0015)
    assert percentile(ONES, rng=3) == percentile(ONES, rng=3)


@pytest.mark.parametrize("name", INTERVALS)
def test_every_interval_holds_its_estimate_and_scales(name: str) -> None:
    terms = Terms(np.array([1.0, 2.0, 5.0, 0.5]), 500, 0, 8, 3)
    low, high = INTERVALS[name](terms)
    assert low < terms.mean < high
    double = Terms(2 * terms.values, 500, 0, 16, 6)
    assert INTERVALS[name](double) == pytest.approx((2 * low, 2 * high), rel=1e-4)


def test_wider_where_heavier_clicks_might_come() -> None:
    light, heavy = (Terms(np.ones(20), 1000, 0, high, 1) for high in (1, 50))
    for interval in (gamma, betting):
        assert interval(heavy)[1] > interval(light)[1]


def test_without_a_click_the_upper_end_is_about_three_over_n() -> None:
    nothing = Terms(np.empty(0), 1000, 0, 1, 1)
    assert normal(nothing) == (0, 0) and percentile(nothing) == (0, 0)
    assert gamma(nothing) == pytest.approx((0, 3.689 / 1000), rel=1e-3)
    low, high = betting(nothing)
    assert low == pytest.approx(0, abs=1e-9) and 0.003 < high < 0.01


def test_betting_serves_negative_terms_and_gamma_does_not() -> None:
    terms = terms_of(np.r_[np.full(10, 2.0), np.full(10, -1.0), np.zeros(980)], high=3, low=-1)
    low, high = betting(terms)
    assert low < 0.01 < high
    mirrored = betting(Terms(-terms.values, 1000, -3, 1, 1))
    assert mirrored == pytest.approx((-high, -low), rel=1e-6)
    with pytest.raises(Problem, match="betting"):
        gamma(terms)
    assert with_interval(terms).low == low and with_interval(ONES).low == gamma_typical(ONES)[0]


def test_betting_covers_means_that_differ() -> None:
    rng, truth = np.random.default_rng(0), 0.5 * (0.02 + 0.2)
    missed = 0
    for _ in range(200):
        values = np.r_[rng.random(100) < 0.02, rng.random(100) < 0.2].astype(float)
        low, high = betting(terms_of(values, 1.0))
        missed += not low <= truth <= high
    assert missed <= 10


def test_pooled_is_the_mean_of_means() -> None:
    one, other = Terms(np.ones(3), 100, 0, 1, 1), Terms(np.array([4.0]), 400, 0, 8, 2)
    both = pooled([one, other])
    assert both.mean == pytest.approx((0.03 + 0.01) / 2) and both.n == 500 and both.high == 8 * 500 / 800


def test_difference_of_two_independent_intervals() -> None:
    a, b = Interval(0.5, 0.3, 0.9, 10, 0), Interval(0.2, 0.1, 0.3, 20, 0)
    found = difference(a, b)
    assert found.mean == pytest.approx(0.3) and found.n == 10
    assert (found.low, found.high) == pytest.approx((0.3 - np.hypot(0.2, 0.1), 0.3 + np.hypot(0.4, 0.1)))


def test_terms_must_lie_in_their_bounds() -> None:
    for wrong in ((np.array([2.0]), 10, 0, 1), (np.array([1.0]), 0, 0, 1), (np.array([np.nan]), 5, 0, 1),
                  (np.array([1.0]), 10, 0.5, 1)):  # fmt: skip
        with pytest.raises(Problem, match="low"):
            Terms(*wrong, 1.0)


def test_coverage_shows_what_the_bootstrap_misses() -> None:
    rates = np.full((20, 1), 0.005)
    policy = np.r_[0.6, np.full(19, 0.4 / 19)][:, None]
    found = coverage(rates, policy, 3000, 0, repeats=400).set_index("interval")
    assert found.covers["percentile bootstrap"] < 0.9 < found.covers["gamma, typical click"]
    assert found.covers[["gamma, heaviest click", "betting"]].min() > 0.94
    assert found.width["betting"] > found.width["gamma, heaviest click"] > found.width["gamma, typical click"]
    assert np.allclose(found.covers + found.below + found.above, 1)


def test_coverage_of_ordinary_counts_is_right_for_all() -> None:
    flat = np.full((5, 2), 0.2)
    found = coverage(np.full((5, 2), 0.3), flat, 300, 0, repeats=200)
    assert (found.covers > 0.9).all()


def test_coverage_from_another_log_and_bad_input() -> None:
    rates, policy = np.full((4, 1), 0.05), np.full((4, 1), 0.25)
    logger = np.array([[0.97], [0.01], [0.01], [0.01]])
    found = coverage(rates, policy, 1000, 0, logger=logger, repeats=200).set_index("interval")
    assert found.covers["normal"] < 0.9
    with pytest.raises(Problem):
        coverage(rates, policy[:3], 100, 0)
