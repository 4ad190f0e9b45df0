"""Whole comparisons on a planted shop: both ways agree with the truth, rankers are fitted on other clicks."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.bandit import Log
from recutils.evaluate.counterfactual import (
    Campaign,
    checks,
    compare_policies,
    crossed,
    gain,
    open_campaigns,
    own_rate,
    rate,
    soften,
    trained,
)
from recutils.rank.policies import uniform
from recutils.tables import Problem

RATES = np.array([0.02, 0.02, 0.02, 0.30])
TABLE = np.repeat(np.array([[0.1], [0.2], [0.1], [0.6]]), 2, axis=1)


def made(shown: np.ndarray, seed: int, n: int = 6000) -> Log:
    rng = np.random.default_rng(seed)
    item = rng.choice(4, size=n, p=shown)
    rows = {"item": item, "position": rng.integers(2, size=n), "click": (rng.random(n) < RATES[item]).astype(float)}
    items = pd.DataFrame({"item_id": range(4), "kind": list("aaab")})
    people = pd.DataFrame({"who": rng.choice(["x", "y"], size=n), "other": "z"})
    return Log("made", pd.DataFrame(rows | {"propensity": shown[item]}), people, np.zeros((n, 4)), items, 2)


@pytest.fixture(scope="module")
def shop() -> dict[str, Campaign]:
    return {
        name: Campaign(name, made(np.full(4, 0.25), seed), made(TABLE[:, 0], seed + 1), TABLE, RATES)
        for name, seed in (("one", 0), ("two", 2))
    }


def test_both_ways_find_the_other_logs_rate(shop: dict[str, Campaign]) -> None:
    found = checks(shop)
    assert [(one.campaign, one.policy, one.log) for one in found][:2] == [
        ("one", "bts", "random"),
        ("one", "random", "bts"),
    ]
    for one in found:
        truth = RATES @ TABLE[:, 0] if one.policy == "bts" else RATES.mean()
        assert one.estimate.low <= truth <= one.estimate.high and one.own.low <= truth <= one.own.high and one.agrees


def test_a_wrong_sampler_is_noticed(shop: dict[str, Campaign]) -> None:
    wrong = Campaign("wrong", shop["one"].random, shop["one"].bts, TABLE[::-1], RATES)
    assert not checks({"wrong": wrong})[0].agrees


def test_the_good_ranker_wins_and_chance_ties(shop: dict[str, Campaign]) -> None:
    logs = [one.random for one in shop.values()]
    policies = {"item clicks": soften(trained(shop, "item clicks"), 0.25, 0.1)}
    policies["the same for all"] = [uniform(log) for log in logs]
    found = compare_policies(logs, policies, 0, draws=500).set_index("policy")
    assert found.index[0] == "random" and found.gain["random"] == 0 and np.isnan(found.p_holm["random"])
    assert found.gain_low["item clicks"] > 0 and found.p_holm["item clicks"] < 0.01
    assert found.p_holm["the same for all"] == 1
    assert found.rate["item clicks"] == pytest.approx(0.925 * 0.3 + 0.075 * 0.02, abs=0.03)
    assert rate(logs, policies["item clicks"]).mean == found.rate["item clicks"]
    assert gain(logs, policies["item clicks"]).mean == found.gain["item clicks"]


def test_cross_fitting_does_not_see_its_own_clicks() -> None:
    log = made(np.full(4, 0.25), 5, n=900)
    scores = crossed(log, "item clicks", 1)
    assert scores.shape == (900, 4) and len(np.unique(scores[:, 3])) == 3  # one model for each fold
    with pytest.raises(Problem, match="ranker must be one of"):
        crossed(log, "magic", 1)


def test_own_rate_is_the_mean_click() -> None:
    log = made(np.full(4, 0.25), 6, n=500)
    found = own_rate(log)
    assert found.mean == pytest.approx(log.click.mean()) and found.low < found.mean < found.high


def test_the_real_shop_opens() -> None:
    found = open_campaigns(["men"], 0, draws=1000)["men"]
    assert found.table.shape == (34, 3) and found.rates.shape == (34,) and len(found.random) == len(found.bts) == 10_000
