"""Shares of all lists: prices that a linear programme finds, checked by duality and by hand."""

import numpy as np
import pytest

from recutils.rank.business import Offers
from recutils.rank.exposure import Exposure, paid, price_of_share, prices, promised, share_range, shares
from recutils.tables import Problem


@pytest.fixture
def offers() -> Offers:
    rng = np.random.default_rng(0)
    items = np.array([rng.permutation(40)[:20] for _ in range(60)])
    return Offers(items, {"clicks": rng.random((60, 20)) * np.where(items < 10, 1.0, 0.5)})


def test_sorting_with_prices_keeps_the_shares_up_to_the_ties(offers: Offers) -> None:
    rules = [Exposure("tail", np.arange(40) >= 10, 0.6), Exposure("odd", np.arange(40) % 2 == 1, 0.0, 0.4)]
    worth = offers.of("clicks")
    free = shares(offers, offers.top(worth, 5), rules)
    assert free["tail"] < 0.6 and free["odd"] > 0.4, "the rules must bind for this test to mean anything"
    price = prices(offers, worth, rules, 5)
    found = shares(offers, offers.top(paid(offers, worth, rules, price), 5), rules)
    assert price[0] > 0 > price[1]
    assert found["tail"] == pytest.approx(0.6, abs=3 / 300) and found["odd"] == pytest.approx(0.4, abs=3 / 300)


def test_prices_solve_the_dual_problem(offers: Offers) -> None:
    """The bound that the prices give is the smallest of all prices (weak duality), tried on a grid around them."""
    rule, worth, k = Exposure("tail", np.arange(40) >= 10, 0.7), offers.of("clicks"), 5

    def bound(price: float) -> float:
        scores = paid(offers, worth, [rule], np.array([price]))
        return np.where(offers.top(scores, k), scores, 0).sum() - price * rule.least * k * 60

    found = float(prices(offers, worth, [rule], k)[0])
    assert bound(found) <= min(bound(found + step) for step in np.linspace(-0.2, 0.2, 41)) + 1e-9
    assert price_of_share(offers, worth, rule, k) == pytest.approx(found, abs=0.01)


def test_a_rule_that_holds_anyway_costs_nothing(offers: Offers) -> None:
    rule = Exposure("all", np.ones(40, dtype=bool), 0.5)
    assert prices(offers, offers.of("clicks"), [rule], 5).tolist() == [0.0]
    assert price_of_share(offers, offers.of("clicks"), rule, 5) == 0.0


def test_shares_out_of_reach_are_named_with_the_nearest(offers: Offers) -> None:
    few = Exposure("few", np.arange(40) < 2, 0.5)
    high = share_range(offers, few, 5)[1]
    with pytest.raises(Problem, match=f"'few' asks for 0.5 to 1 .*nearest is at least {high:.3f}"):
        prices(offers, offers.of("clicks"), [few], 5)
    with pytest.raises(Problem, match="nearest is at least"):
        price_of_share(offers, offers.of("clicks"), few, 5)
    with pytest.raises(Problem, match="nearest is at most"):
        prices(offers, offers.of("clicks"), [Exposure("most", np.arange(40) >= 2, 0.0, 0.1)], 5)
    tail = np.arange(40) >= 10
    with pytest.raises(Problem, match="together"):
        prices(offers, offers.of("clicks"), [Exposure("tail", tail, 0.6), Exposure("head", ~tail, 0.6)], 5)
    with pytest.raises(Problem, match="least <= most"):
        Exposure("tail", tail, 0.6, 0.5)


def test_promises_are_told_with_their_price_and_share(offers: Offers) -> None:
    rule = Exposure("tail", np.arange(40) >= 10, 0.6)
    told = promised(offers, {"all": offers.top(offers.of("clicks"), 20)}, [rule], np.array([0.5]))
    share = (offers.items >= 10).mean()
    assert told.to_numpy().tolist() == [["tail", "60% to 100%", 0.5, f"{share:.1%}"]]
