"""Policies are probabilities; rankers find planted click rates."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from recutils.data.bandit import Log
from recutils.rank.policies import (
    RANKERS,
    at_rows,
    best_share,
    content,
    features,
    item_clicks,
    place_blind,
    thompson,
    top_list,
    uniform,
)
from recutils.tables import Problem


def made(n: int = 4000, seed: int = 0) -> Log:
    """Six items of two kinds; kind "b" (items 3 to 5) is clicked for visitors "x", kind "a" for visitors "y"."""
    rng = np.random.default_rng(seed)
    item, person = rng.integers(6, size=n), rng.choice(["x", "y"], size=n, p=[0.8, 0.2])
    rate = np.where((item >= 3) == (person == "x"), 0.4, 0.02)
    rows = {"item": item, "position": rng.integers(2, size=n), "click": rng.random(n) < rate, "propensity": 1 / 6}
    items = pd.DataFrame({"item_id": range(6), "price": [1.0, 2, 1, 2, 1, 2], "kind": list("aaabbb")})
    people = pd.DataFrame({"who": person, "other": rng.choice(["u", "v"], size=n)})
    return Log("made", pd.DataFrame(rows).astype({"click": float}), people, np.zeros((n, 6)), items, 2)


def test_thompson_of_two_items_is_the_chance_that_one_beta_beats_the_other() -> None:
    table = thompson(np.array([3.0, 1.0]), np.array([1.0, 1.0]), 2, 0, draws=50_000)
    np.testing.assert_allclose(table.sum(axis=0), 1)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    assert table[0, 0] == pytest.approx(stats.beta(3, 1).expect(lambda x: x), abs=0.01)  # P(B > U) = E B = 3/4


def test_thompson_is_the_same_for_the_same_seed_and_refuses_nonsense() -> None:
    a, b = np.ones(4), np.ones(4)
    np.testing.assert_array_equal(thompson(a, b, 2, 1, draws=50), thompson(a, b, 2, 1, draws=50))
    for wrong in ((a, b[:3], 2), (a - 1, b, 2), (a, b, 5)):
        with pytest.raises(Problem):
            thompson(*wrong, 0, draws=10)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_best_share_is_a_distribution_over_the_best(share: float, epsilon: float) -> None:
    policy = best_share(np.array([[1.0, 3, 2, 2], [0, 0, 0, 0]]), share, epsilon)
    np.testing.assert_allclose(policy.sum(axis=1), 1)
    assert policy[0].argmax() in ((1,) if share < 1 and epsilon < 1 else range(4))
    if share == 0.5 and epsilon == 0:
        assert policy[0].tolist() == [0, 0.5, 0.5, 0] and policy[1].tolist() == [0.5, 0.5, 0, 0]


def test_top_list_puts_the_rank_at_its_place() -> None:
    policy = top_list(np.array([[1.0, 3, 2], [1, 3, 2]]), np.array([0, 1]), 0.3)
    np.testing.assert_allclose(policy, [[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


def test_softness_must_be_a_share() -> None:
    for share, epsilon in ((0, 0.1), (1.1, 0.1), (0.5, -0.1), (0.5, 1.1)):
        with pytest.raises(Problem, match="share must lie"):
            best_share(np.ones((1, 3)), share, epsilon)
    with pytest.raises(Problem, match="epsilon"):
        top_list(np.ones((1, 3)), np.array([0]), 2)


def test_tables_spread_to_rows() -> None:
    log = made(10)
    table = np.column_stack([np.arange(6), np.arange(6)[::-1]]) / 15
    np.testing.assert_allclose(at_rows(table, log)[3], table[:, log.position[3]])
    np.testing.assert_allclose(place_blind(table), 1 / 6)
    np.testing.assert_allclose(uniform(log), 1 / 6)
    with pytest.raises(Problem, match="places"):
        at_rows(table[:, :1], log)


@pytest.mark.parametrize("ranker", [item_clicks, content])
def test_rankers_find_what_most_people_click(ranker) -> None:
    log = made()
    scores = ranker(log)(log)
    assert scores.shape == (len(log), 6) and (scores[0, 3:].min() > scores[0, :3].max())
    np.testing.assert_array_equal(scores[0], scores[-1])


def test_features_find_who_clicks_what() -> None:
    log = made()
    scores = features(log)(log)
    for person, kind in (("x", slice(3, 6)), ("y", slice(0, 3))):
        row = scores[np.flatnonzero(log.people["who"] == person)[0]]
        assert row[kind].min() > np.delete(row, np.r_[kind]).max()


def test_a_ranker_meets_new_visitors_and_other_logs() -> None:
    log = made()
    strange = log.only(np.arange(3))
    odd = Log("odd", strange.rows, strange.people.assign(who="z"), strange.affinity, strange.items, 2)
    for ranker in RANKERS.values():
        scores = ranker(log)(odd)
        assert scores.shape == (3, 6) and np.isfinite(scores).all()


def test_nothing_is_learnt_without_a_click() -> None:
    log = made()
    for ranker in RANKERS.values():
        with pytest.raises(Problem, match="no click"):
            ranker(log.only(log.click == 0))
