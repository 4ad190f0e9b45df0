"""Rules for each list: the solver and the greedy walk against every list that there is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recutils.rank.business import Offers, every_list
from recutils.rank.constraints import CLOSED, FREE, SOLVED, Rule, broken, greedy, solve
from recutils.rank.programme import programme
from recutils.tables import Problem

N_ITEMS = 12


def made(seed: int, n_users: int = 3, n: int = 8) -> tuple[Offers, np.random.Generator]:
    rng = np.random.default_rng(seed)
    items = np.array([rng.permutation(N_ITEMS)[:n] for _ in range(n_users)])
    return Offers(items, {"clicks": rng.random((n_users, n))}), rng


def best_by_trying(offers: Offers, rules: list[Rule], k: int, user: int) -> float | None:
    members, totals = every_list(offers.of("clicks")[user][:, None], k)
    shown = offers.items[user][members]
    kept = np.ones(len(members), dtype=bool)
    for rule in rules:
        count = rule.members[shown].sum(axis=1)
        kept &= (count >= rule.least) & (count <= (k if rule.most is None else rule.most))
    return float(totals[kept].max()) if kept.any() else None


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_the_solver_finds_what_enumeration_finds_or_says_that_there_is_nothing(seed: int) -> None:
    offers, rng = made(seed)
    rules = []
    for name in "abc":  # overlapping members, so that the programme is asked
        least, most = np.sort(rng.integers(0, 4, 2))
        rules.append(Rule(name, rng.random(N_ITEMS) < 0.5, int(least), int(most) + 1))
    best = [best_by_trying(offers, rules, 4, user) for user in range(3)]
    if None in best:
        with pytest.raises(Problem, match="cannot be kept|contradict"):
            solve(offers, offers.of("clicks"), rules, 4)
        return
    found = solve(offers, offers.of("clicks"), rules, 4)
    assert offers.total(found.chosen, "clicks") == pytest.approx(best, abs=1e-6)
    assert not any(rows.any() for rows in broken(offers, found.chosen, rules, 4).values())
    walked = greedy(offers, offers.of("clicks"), rules, 4)
    kept = ~np.any(list(broken(offers, walked, rules, 4).values()), axis=0)
    assert (walked.sum(axis=1) == 4).all()
    assert (offers.total(walked, "clicks")[kept] <= np.array(best)[kept] + 1e-9).all()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_the_walk_is_exact_where_no_item_falls_under_two_rules(seed: int) -> None:
    offers, rng = made(seed)
    part = rng.integers(0, 3, N_ITEMS)
    rules = [Rule("a", part == 0, int(rng.integers(0, 3))), Rule("b", part == 1, 0, int(rng.integers(1, 4)))]
    best = [best_by_trying(offers, rules, 4, user) for user in range(3)]
    if None not in best:
        found = solve(offers, offers.of("clicks"), rules, 4)
        assert offers.total(found.chosen, "clicks") == pytest.approx(best)
        assert set(found.how) <= {FREE, CLOSED}


def test_greed_misses_what_the_solver_finds() -> None:
    """One item serves both rules, the greedy walk pays for each rule apart."""
    worth = np.array([[1.0, 0.9, 0.8, 0.4, 0.45, 0.44]])
    offers = Offers(np.arange(6)[None, :], {"clicks": worth})
    tail, fresh = np.isin(np.arange(6), [3, 4]), np.isin(np.arange(6), [3, 5])
    rules = [Rule("tail", tail, 1), Rule("new", fresh, 1)]
    found = solve(offers, worth, rules, 3)
    assert offers.items[found.chosen].tolist() == [0, 1, 3] and found.how.tolist() == [SOLVED]
    walked = greedy(offers, worth, rules, 3)
    assert offers.total(walked, "clicks")[0] < offers.total(found.chosen, "clicks")[0]


def test_free_lists_are_left_alone() -> None:
    offers, _ = made(1)
    found = solve(offers, offers.of("clicks"), [Rule("any", np.ones(N_ITEMS, dtype=bool), 1)], 4)
    assert set(found.how) == {FREE}
    assert np.array_equal(found.chosen, offers.top(offers.of("clicks"), 4))


def test_dropping_hopeless_candidates_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    worth, rows = rng.random(60), (rng.random((3, 60)) < 0.3).astype(float)
    low, high = np.array([2.0, -np.inf, 1.0]), np.array([np.inf, 1.0, 2.0])
    whole = programme(worth, 5, np.vstack([rows, np.arange(60.0)]), np.r_[low, -1e6], np.r_[high, 1e6])  # keeps all
    assert worth[programme(worth, 5, rows, low, high)].sum() == pytest.approx(worth[whole].sum())


def test_a_rule_beyond_the_candidates_is_named_with_the_nearest_number() -> None:
    offers = Offers(np.array([[0, 1, 2, 3], [2, 3, 4, 5]]), {"clicks": np.ones((2, 4))})
    new, other = np.isin(np.arange(6), [0, 1, 4]), np.isin(np.arange(6), [2, 3, 4, 5])
    with pytest.raises(
        Problem, match=r"'new at least 2' cannot be kept by 1 of 2 users, the first in row 1.*at least 1"
    ):
        solve(offers, offers.of("clicks"), [Rule("new", new, 2)], 3)
    with pytest.raises(Problem, match=r"'old at most 1'.*1 of 2 users, the first in row 1.*at most 3"):
        solve(offers, offers.of("clicks"), [Rule("old", other, 0, 1)], 3)


def test_rules_that_contradict_each_other_are_named_with_the_cures() -> None:
    offers = Offers(np.arange(8)[None, :], {"clicks": np.ones((1, 8))})
    tail = np.arange(8) < 5
    pair = [Rule("tail", tail, 3), Rule("head", ~tail, 2)]
    with pytest.raises(Problem, match=r"contradict.*'tail' at least 2 \(asked: 3\), or 'head' at least 1 \(asked: 2\)"):
        solve(offers, offers.of("clicks"), pair, 4)
    with pytest.raises(Problem, match=r"contradicts itself: at least 3, at most 2"):
        Rule("tail", tail, 3, 2)
    hopeless = [Rule("a", tail, 3), Rule("b", ~tail, 3), Rule("c", np.arange(8) % 2 == 0, 4), Rule("d", tail, 0, 1)]
    with pytest.raises(Problem, match="No change of a single rule is enough"):
        solve(offers, offers.of("clicks"), hopeless, 4)


def test_other_bad_rules_are_refused() -> None:
    offers, _ = made(2)
    with pytest.raises(Problem, match="at least one rule"):
        solve(offers, offers.of("clicks"), [], 4)
    with pytest.raises(Problem, match="fewer items"):
        solve(offers, offers.of("clicks"), [Rule("short", np.ones(3, dtype=bool), 1)], 4)
    with pytest.raises(Problem, match="one bool per item"):
        Rule("numbers", np.ones(3), 1)


def test_fills_are_never_shown() -> None:
    items = np.array([[0, 1, -1, -1], [0, 1, 2, 3]])
    offers = Offers(items, {"clicks": np.array([[0.1, 0.2, 9.0, 9.0], [0.1, 0.2, 0.3, 0.4]])})
    low, twice = Rule("low", np.array([True, False, True, False]), 1), Rule("even", np.arange(4) % 2 == 0, 1, 2)
    for chosen in (
        solve(offers, offers.of("clicks"), [low, twice], 2).chosen,
        greedy(offers, offers.of("clicks"), [low], 2),
    ):
        assert chosen.tolist()[0] == [True, True, False, False] and chosen.sum(axis=1).tolist() == [2, 2]
