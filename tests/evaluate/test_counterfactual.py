"""Whole comparisons on a planted shop: both ways agree with the truth, rankers are fitted on other clicks."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.bandit import Log
from recutils.evaluate import policy_tables as tables
from recutils.evaluate.counterfactual import (
    Campaign,
    all_crossed,
    as_it_ran,
    checks,
    compare_policies,
    crossed,
    estimates,
    from_timid_to_bold,
    gain,
    likeness,
    open_campaigns,
    own_rate,
    rate,
    soften,
    trained,
    worlds,
)
from recutils.evaluate.statistics import Interval
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
    ways = [("bts, as it ran", "random"), ("bts", "random"), ("random", "bts")]
    assert [(one.policy, one.log) for one in found] == 2 * ways and found[3].campaign == "two"
    for one in found:
        truth = RATES.mean() if one.policy == "random" else RATES @ TABLE[:, 0]
        assert one.estimate.low <= truth <= one.estimate.high and one.own.low <= truth <= one.own.high and one.agrees


def test_a_wrong_sampler_is_noticed(shop: dict[str, Campaign]) -> None:
    wrong = Campaign("wrong", shop["one"].random, shop["one"].bts, TABLE[::-1], RATES)
    ran, frozen, _ = checks({"wrong": wrong})
    assert ran.agrees and not frozen.agrees
    assert likeness(wrong) < 0 < 0.99 < likeness(shop["one"])
    np.testing.assert_allclose(as_it_ran(wrong.bts), TABLE, atol=0.03)


def test_the_good_ranker_wins_and_chance_ties(shop: dict[str, Campaign]) -> None:
    logs = [one.random for one in shop.values()]
    policies = {"item clicks": soften(trained(shop, "item clicks"), 0.25, 0.1)}
    policies["the same for all"] = [uniform(log) for log in logs]
    found = compare_policies(logs, policies, 0, draws=500).set_index("policy")
    assert found.index[0] == "random" and found.gain["random"] == 0
    assert np.isnan(found.loc["random", ["gain_low", "p_holm"]].astype(float)).all()
    assert found.gain_low["item clicks"] > 0 and found.p_holm["item clicks"] < 0.01
    assert found.p_holm["the same for all"] == 1
    assert found.rate["item clicks"] == pytest.approx(0.925 * 0.3 + 0.075 * 0.02, abs=0.03)
    assert rate(logs, policies["item clicks"]).mean == found.rate["item clicks"]
    assert gain(logs, policies["item clicks"]).mean == found.gain["item clicks"]


def test_every_method_and_every_world(shop: dict[str, Campaign]) -> None:
    found, limit = estimates(shop["one"])
    assert len({one.method for one in found}) == len(found) == 7 and limit >= 0
    truth = RATES @ TABLE[:, 0]
    assert all(abs(one.value - truth) < 0.06 for one in found if one.method != "dm")
    held = worlds(shop, 0, repeats=5)
    assert list(held) == ["one", "two", "same rates"] and all(one.covers.between(0, 1).all() for one in held.values())


def test_boldness_narrows_to_the_list(shop: dict[str, Campaign]) -> None:
    logs = [one.random for one in shop.values()]
    bold = from_timid_to_bold(logs, trained(shop, "item clicks"), 0.1)
    highest = [own[0].max() for own in bold.values()]
    assert highest == sorted(highest) and highest[-1] == pytest.approx(0.925)
    bold |= all_crossed([log.only(np.arange(600)) for log in logs], 0.5, 0.1, 0)
    assert all(np.allclose(one.sum(axis=1), 1) for own in bold.values() for one in own)


def test_tables_and_records_say_the_same(shop: dict[str, Campaign]) -> None:
    about = {"notebook": "63", "dataset": "planted", "seed": 1}
    logs, published = [one.random for one in shop.values()], {"one": (9.0, 20.0), "two": (9.0, 20.0)}
    found, _ = estimates(shop["one"])
    spread = {e.method: Interval(e.value, e.value - 1, e.value + 1, 10, 0) for e in found}
    family = compare_policies(logs, {"x": [uniform(log) for log in logs]}, 0, draws=50)
    held = worlds(shop, 0, repeats=3)
    records = [
        *tables.check_records(checks(shop), **about),
        *tables.policy_records(family, 10, **about),
        *tables.coverage_records(held, 10, **about),
        *tables.estimate_records(found, spread, **about, split="s"),
    ]
    assert len(records) == 6 + 2 + 15 + 7 and len({one.identity for one in records}) == len(records)
    assert len(tables.log_table(shop, published)) == 4 and len(tables.check_table(checks(shop))) == 6
    assert tables.family_table(family).rate.tolist() == (1000 * family.rate).tolist()
    power = tables.power_table(shop, published)
    assert power["whole log"].tolist() == ["+122%"] * 2 and (power.needed > 10).all()
    shown = tables.estimate_table(found, spread, {"ipw": 0.1})
    assert shown.published.tolist()[0] == 0.1 and shown.published.isna().sum() == 6


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
