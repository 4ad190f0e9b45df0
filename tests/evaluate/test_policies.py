"""Off-policy estimators: planted worlds with a known answer, the published figures of P8, and logs that say nothing."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.bandit import Log, open_bandit, prior
from recutils.evaluate.clicks import expected_clicks
from recutils.evaluate.policies import (
    PUBLISHED,
    PUBLISHED_GATE,
    THRESHOLDS,
    by_place,
    click_terms,
    difference_terms,
    dm,
    dr,
    ipw,
    is_uniform,
    largest_weight,
    overlap,
    overlap_table,
    shuffled_p,
    snipw,
    switch_dr,
    switch_threshold,
    weights,
)
from recutils.rank.policies import at_rows, best_share, place_blind, thompson, uniform
from recutils.tables import Problem

RATES = np.array([[0.1, 0.3], [0.2, 0.1], [0.5, 0.4], [0.3, 0.0]])  # items x places
SHOWN = np.array([[0.4, 0.1], [0.3, 0.2], [0.2, 0.3], [0.1, 0.4]])  # the log's policy
NEW = np.array([[0.1, 0.7], [0.1, 0.1], [0.7, 0.1], [0.1, 0.1]])
TRUTH = (RATES * NEW).sum() / 2


def made(n: int = 40_000, shown: np.ndarray = SHOWN, seed: int = 0) -> Log:
    rng = np.random.default_rng(seed)
    position = rng.integers(2, size=n)
    item = (rng.random((n, 1)) > shown.T.cumsum(axis=1)[position]).sum(axis=1)
    click = (rng.random(n) < RATES[item, position]).astype(float)
    rows = pd.DataFrame({"item": item, "position": position, "click": click, "propensity": shown[item, position]})
    items = pd.DataFrame({"item_id": range(4), "kind": list("abab"), "size": [0.1, 0.2, 0.3, 0.4]})
    people = pd.DataFrame({"who": rng.choice(["x", "y"], size=n)})
    return Log("made", rows, people, np.zeros((n, 4)), items, 2)


@pytest.fixture(scope="module")
def log() -> Log:
    return made()


def right(log: Log) -> np.ndarray:
    return RATES.T[log.position]


def test_all_but_the_wrong_model_find_the_truth(log: Log) -> None:
    policy, wrong = at_rows(NEW, log), np.full((len(log), 4), 0.9)
    found = [ipw(log, policy), snipw(log, policy), by_place(log, policy), dr(log, policy, wrong)]
    found += [dm(log, policy, right(log)), dr(log, policy, right(log))]
    for estimate in found:
        assert estimate.value == pytest.approx(TRUTH, abs=4 * estimate.error)
        assert estimate.value == pytest.approx(estimate.terms.mean(), rel=1e-9)
    assert dm(log, policy, wrong).value == pytest.approx(0.9)
    assert dr(log, policy, right(log)).error < ipw(log, policy).error


def test_a_uniform_reading_of_another_log_is_biased(log: Log) -> None:
    blind = Log("x", log.rows.assign(propensity=0.25), log.people, log.affinity, log.items, 2)
    assert abs(ipw(blind, at_rows(NEW, blind)).value - TRUTH) > 0.02


def test_places_matter_where_they_do(log: Log) -> None:
    assert abs(ipw(log, at_rows(place_blind(NEW), log)).value - TRUTH) > 0.02


def test_errors_are_those_of_repeated_logs() -> None:
    logs = [made(500, seed=seed) for seed in range(120)]
    for method in (ipw, snipw, by_place):
        found = [method(one, at_rows(NEW, one)) for one in logs]
        spread = np.std([one.value for one in found])
        assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.2), method


def test_switch_goes_from_dr_to_the_model(log: Log) -> None:
    policy, wrong = at_rows(NEW, log), np.full((len(log), 4), 0.9)
    assert switch_dr(log, policy, wrong, np.inf).value == dr(log, policy, wrong).value
    assert switch_dr(log, policy, wrong, 0).value == pytest.approx(dm(log, policy, wrong).value)
    assert switch_threshold(log, policy, wrong) > 5  # the faults of the model show, so nothing is left to it
    assert switch_threshold(log, policy, right(log)) == THRESHOLDS[-1]  # a right model takes over


def test_weights_by_hand() -> None:
    rows = pd.DataFrame({"item": [0, 1], "position": [0, 1], "click": [1.0, 2.0], "propensity": [0.5, 0.25]})
    items = pd.DataFrame({"item_id": [0, 1]})
    log = Log("hand", rows, pd.DataFrame({"f": ["a", "b"]}), np.zeros((2, 2)), items, 2)
    policy = np.array([[0.25, 0.75], [0.5, 0.5]])
    assert weights(log, policy).tolist() == [0.5, 2.0]
    assert ipw(log, policy).value == (0.5 + 4) / 2
    assert snipw(log, policy).value == (0.5 + 4) / 2.5
    found = overlap(log, policy)
    assert (found.mean_weight, found.effective_n) == (1.25, 6.25 / 4.25)
    assert found.one_click == pytest.approx(4 / 4.5) and found.effective_clicks == pytest.approx(4.5**2 / 16.25)
    assert found.unseen == pytest.approx((0.75 + 0.5) / 2)
    assert len(overlap_table({"x": found})) == 1


def test_terms_know_the_weights_that_did_not_come() -> None:
    log = made(200, np.full((4, 2), 0.25))
    policy = at_rows(NEW, log)
    assert is_uniform(log) and largest_weight(log, policy) == pytest.approx(2.8)
    terms = click_terms(log, policy)
    assert (terms.low, terms.high) == (0, pytest.approx(2.8))
    assert terms.typical == pytest.approx(4 * (NEW**2).sum() / 2, rel=0.1)
    less = click_terms(log, policy, less_log=True)
    assert less.low == -1 and less.mean == pytest.approx(terms.mean - log.click.mean())


def test_policies_must_be_probabilities_that_the_log_can_judge(log: Log) -> None:
    good = at_rows(NEW, log)
    for wrong, says in ((good * 2, "sum to 1"), (good - 0.2, "probabilities"), (good[:, :3], "shape")):
        with pytest.raises(Problem, match=says):
            ipw(log, wrong)
    with pytest.raises(Problem, match="shape"):
        dm(log, good, right(log)[:5])
    nan = right(log).copy()
    nan[0, 0] = np.nan
    with pytest.raises(Problem, match="finite"):
        dr(log, good, nan)


def test_no_common_support_and_no_click() -> None:
    shown = np.array([[0.5, 0.5], [0.5, 0.5], [0, 0], [0, 0]])
    log = made(100, shown)
    never = at_rows(np.array([[0, 0], [0, 0], [0.5, 0.5], [0.5, 0.5]]), log)
    for method in (ipw, snipw, overlap):
        with pytest.raises(Problem, match="no impression shows"):
            method(log, never)
    assert overlap(log, uniform(log)).unseen == 0.5
    none = log.only(log.click == 0)
    assert ipw(none, uniform(none)).value == 0
    assert overlap(none, uniform(none)).effective_clicks == 0 and np.isnan(overlap(none, uniform(none)).one_click)


def test_a_place_without_impressions_is_named(log: Log) -> None:
    first = log.only(log.position == 0)
    with pytest.raises(Problem, match="place 1"):
        by_place(first, at_rows(NEW, first))


def test_expected_clicks_are_cross_fitted_chances(log: Log) -> None:
    part = log.only(np.arange(3000))
    expected = expected_clicks(part, seed=1)
    assert expected.shape == (3000, 4) and (expected > 0).all() and (expected < 1).all()
    with pytest.raises(Problem, match="fold"):
        expected_clicks(part.only(part.click == 0))


def test_shuffled_p_is_uniform_without_an_effect_and_small_with_one() -> None:
    flat = np.full((4, 2), 0.25)
    ps = []
    for seed in range(100):
        log = made(300, flat, seed)
        idle = Log("idle", log.rows.assign(click=np.random.default_rng(seed).random(300) < 0.2), log.people,
                   log.affinity, log.items, 2)  # fmt: skip
        ps.append(shuffled_p([idle], [at_rows(NEW, idle)], seed, draws=200))
    assert np.mean(np.array(ps) <= 0.05) < 0.12 and 0.4 < np.mean(ps) < 0.6
    log = made(5000, flat)
    good = best_share(RATES.T[log.position], 0.5, 0.1)
    assert shuffled_p([log, log], [good, good], 0) < 0.001
    assert shuffled_p([log], [uniform(log)], 0) == 1
    with pytest.raises(Problem, match="equally likely"):
        shuffled_p([made(100)], [at_rows(NEW, made(100))], 0)


@pytest.fixture(scope="module")
def published() -> tuple[Log, np.ndarray]:
    """The log and the policy of obp's quickstart, with its own random numbers."""
    log = open_bandit("random", "all")
    return log, at_rows(thompson(*prior("all"), 3, np.random.RandomState(12345)), log)


@pytest.mark.published
def test_p8_to_the_last_printed_digit(published: tuple[Log, np.ndarray]) -> None:
    log, policy = published
    assert round(ipw(log, policy).value, 6) == PUBLISHED["ipw"]


@pytest.mark.published
def test_p8_with_our_own_random_numbers() -> None:
    log = open_bandit("random", "all")
    assert ipw(log, at_rows(thompson(*prior("all"), 3, 7), log)).value == pytest.approx(
        PUBLISHED["ipw"], abs=PUBLISHED_GATE
    )


@pytest.mark.published
def test_p8_model_and_doubly_robust(published: tuple[Log, np.ndarray]) -> None:
    log, policy = published
    expected = expected_clicks(log)
    assert dm(log, policy, expected).value == pytest.approx(PUBLISHED["dm"], abs=5e-6)
    assert dr(log, policy, expected).value == pytest.approx(PUBLISHED["dr"], abs=5e-6)


@pytest.mark.published
def test_p8_hangs_on_one_click(published: tuple[Log, np.ndarray]) -> None:
    found = overlap(*published)
    assert found.one_click == pytest.approx(0.43, abs=0.005) and found.effective_clicks == pytest.approx(4.7, abs=0.05)


def test_a_difference_of_two_policies_is_that_of_their_estimates_and_keeps_its_bounds(log: Log) -> None:
    policy, other = at_rows(NEW, log), at_rows(SHOWN, log)
    terms = difference_terms(log, policy, other)
    assert terms.mean == pytest.approx(ipw(log, policy).value - log.click.mean())
    even = made(shown=np.full((4, 2), 0.25))
    terms = difference_terms(even, at_rows(NEW, even), uniform(even))
    assert (terms.low, terms.high) == (pytest.approx(-1), pytest.approx(2.8))  # 4 x .7 of the best item


def test_the_same_policy_twice_is_never_different_from_itself_by_shuffling(log: Log) -> None:
    even = made(2000, shown=np.full((4, 2), 0.25))
    policy = at_rows(NEW, even)
    assert shuffled_p([even], [policy], 0, against=[policy], draws=50) == 1
    assert shuffled_p([even], [policy], 0, against=[uniform(even)], draws=500) == pytest.approx(
        shuffled_p([even], [policy], 0, draws=500), abs=0.02
    )
    with pytest.raises(Problem, match="each log"):
        shuffled_p([even], [policy], 0, against=[])
