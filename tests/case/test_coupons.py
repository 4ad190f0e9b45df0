"""Coupons on planted pairs: who buys anyway, what a made-up effect does, and how many people a test needs."""

import numpy as np
import pandas as pd
import pytest

from recutils.case import coupons
from recutils.case.groceries import Orders
from recutils.tables import Problem


@pytest.fixture
def orders():
    """Person 0: product 0 always, product 1 once; person 1: product 1 always."""
    rows = [(0, n, 0, 0) for n in range(4)] + [(0, 1, 1, 1)] + [(1, n, 1, 0) for n in range(3)]
    table = pd.DataFrame(rows, columns=["user", "order", "item", "place"])
    return Orders(table.sort_values(["user", "order", "place"], ignore_index=True), 2, 2)


def test_shares_come_from_earlier_orders_only(orders):
    found = coupons.pairs_of(orders)
    assert found[["user", "item"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 1]]
    np.testing.assert_allclose(found.share, [1, 1 / 3, 1])
    assert found.bought.tolist() == [True, False, True]
    np.testing.assert_allclose(coupons.pairs_of(orders, back=1).share, [1, 1 / 2, 1])
    with pytest.raises(Problem, match="back"):
        coupons.pairs_of(orders, back=9)


@pytest.fixture
def planted():
    """200 people with one pair of each of three shares; the chance to buy is the share."""
    rng = np.random.default_rng(0)
    share = np.tile([0.05, 0.3, 0.9], 200)
    table = {"user": np.repeat(np.arange(200), 3), "item": np.tile(np.arange(3), 200), "share": share}
    return pd.DataFrame(table).assign(bought=rng.random(600) < share)


def test_the_groups_buy_as_planted(planted):
    pairs = coupons.with_chance(planted, planted)
    table = coupons.rates(pairs, 0, 300).set_index("group")
    assert table.index.tolist() == [coupons.SELDOM, coupons.UNDECIDED, coupons.SURE]
    for group, rate in zip(table.index, (0.05, 0.3, 0.9), strict=True):
        assert table.low[group] - 0.02 <= rate <= table.high[group] + 0.02
    assert table.people.tolist() == [200] * 3


def test_a_coupon_that_was_never_given_seems_to_work(planted):
    found = coupons.placebo(coupons.with_chance(planted, planted), 1 / 3, 0, 300)
    assert found.delta == pytest.approx(0.9 - 0.175, abs=0.06) and found.low > 0.5
    shuffled = planted.assign(bought=np.random.default_rng(1).random(600) < 0.3)
    assert abs(coupons.placebo(coupons.with_chance(shuffled, planted), 1 / 3, 0, 300).delta) < 0.12


def test_targeting_takes_the_highest_and_refuses_silly_shares():
    assert coupons.targeted(np.array([0.1, 0.9, 0.5, 0.9]), 0.5).tolist() == [False, True, False, True]
    with pytest.raises(Problem, match="share"):
        coupons.targeted(np.ones(3), 1.0)


@pytest.mark.parametrize("world", list(coupons.WORLDS))
def test_effects_have_the_mean_asked_for_and_stay_possible(world):
    chance = np.linspace(0.01, 0.9, 50)
    extra = coupons.effect(chance, coupons.WORLDS[world], 0.02)
    assert (extra >= 0).all() and (chance + extra <= 1 + 1e-12).all()
    assert extra.mean() == pytest.approx(0.0 if "nobody" in world else 0.02, rel=1e-6)


def test_the_best_target_depends_on_the_world_and_the_report_does_not(planted):
    found = coupons.what_if(coupons.with_chance(planted, planted), 1 / 3, 0.02).set_index("world")
    best, likely, random = (found[f"won: {name}"] for name in ("best", "likely", "random"))
    assert (best >= random - 1e-9).all() and (best >= likely - 1e-9).all()
    assert likely["the less likely, the more"] < random["the less likely, the more"]
    assert likely["on regulars"] > random["on regulars"]
    assert best["it works on nobody"] == 0
    assert np.ptp(found["seen: likely"]) < 10 and found["seen: likely"].min() > 80


def test_the_experiment_needs_more_people_for_less(planted):
    table = coupons.rates(coupons.with_chance(planted, planted), 0, 300)
    small, large = coupons.experiment(table, 0.01), coupons.experiment(table, 0.05)
    assert (small["per arm"] > 20 * large["per arm"]).all()
    np.testing.assert_allclose(small["between"] / small["per arm"], 2, rtol=0.01)
    half = table.bought.iloc[1]
    expected = (1.96 + 0.8416) ** 2 * 2 * half * (1 - half) / 0.05**2
    assert large["per arm"].iloc[1] == pytest.approx(expected, rel=0.02)
