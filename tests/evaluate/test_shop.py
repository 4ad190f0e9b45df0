"""A planted shop: its goals, groups and what lists bring."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.shop import on_average, open_shop, rule_costs
from recutils.model.baselines import Popularity, Random
from recutils.rank.constraints import Rule, solve
from recutils.tables import Dataset, Interactions, Problem


def dataset(*, time: bool = True, explicit: bool = True, n_users: int = 60, n_items: int = 50) -> Dataset:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(n_users), 20)
    item = np.concatenate([rng.choice(n_items, 20, replace=False, p=np.arange(1, 51) / 1275) for _ in range(n_users)])
    rows = pd.DataFrame({"user": user, "item": item, "value": rng.integers(1, 6, len(user))})
    rows = rows.sample(frac=1, random_state=0)
    if time:
        rows["time"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(rows)), unit="h")
    ids = {"user_id": range(n_users)}, {"item_id": range(n_items), "title": range(n_items)}
    items = pd.DataFrame(ids[1]).assign(genres=np.where(np.arange(n_items) % 2, "Drama", "War, Drama"))
    return Dataset("planted", Interactions(rows, n_users, n_items), pd.DataFrame(ids[0]), items, explicit)


def test_goals_follow_what_the_data_hold() -> None:
    assert open_shop(dataset(), 5, n=20).goals == ("clicks", "likes", "margin", "freshness")
    assert open_shop(dataset(time=False, explicit=False), 5, n=20).goals == ("clicks", "dwell", "margin")
    plain = dataset(time=False, explicit=False)
    plain = Dataset(
        "ones", Interactions(plain.interactions.rows.assign(value=1.0), 60, 50), plain.users, plain.items, False
    )
    assert open_shop(plain, 5, n=20).goals == ("clicks", "margin")


def test_each_goals_own_lists_are_expected_to_be_best() -> None:
    shop = open_shop(dataset(), 5, n=20)
    for goal in shop.goals:
        best = shop.offers.best(goal, 5)
        assert shop.offers.total(shop.made_for(goal), goal) == pytest.approx(best, rel=1e-4)
    assert set(shop.described()["goal"]) == set(shop.goals)


def test_values_count_what_people_did() -> None:
    shop = open_shop(dataset(), 5, n=20)
    lists = {"a": shop.lists(shop.made_for("clicks"))}
    values = shop.values(lists)
    truth = shop.rules.truth.toarray() != 0
    assert values["clicks"]["a"].tolist() == np.take_along_axis(truth, lists["a"], 1).sum(axis=1).tolist()
    assert (values["likes"]["a"] <= values["clicks"]["a"]).all()
    rich = shop.with_margins({name: 2.0 for name in shop.margins}).values(lists)
    assert rich["margin"]["a"].tolist() == (2 * values["clicks"]["a"]).tolist()
    assert shop.margins != rich and set(shop.margins) == {"Drama", "War"}


def test_groups_lie_where_they_should() -> None:
    shop = open_shop(dataset(), 5, n=20)
    assert not (shop.groups["long tail"] & shop.groups["sponsored"]).any() and shop.groups["sponsored"].any()
    assert 0 < shop.groups["new"].mean() < 0.2
    assert "new" not in open_shop(dataset(time=False), 5, n=20).groups


def test_a_shop_without_people_is_refused() -> None:
    with pytest.raises(Problem, match="user|people"):
        open_shop(dataset(n_users=1), 5, n=5)


def test_goal_lists_stand_beside_the_trivial_ones() -> None:
    shop = open_shop(dataset(), 5, n=20)
    lists = shop.goal_lists({"popularity": Popularity(), "random": Random(seed=0)})
    assert list(lists) == [*shop.goals, "all alike", "popularity", "random"]
    assert np.array_equal(lists["clicks"], shop.lists(shop.made_for("clicks")))


def test_a_promise_on_average_has_the_share_of_the_promise_to_each_list() -> None:
    shop = open_shop(dataset(n_users=200), 5, n=30)
    tail, clicks = shop.groups["long tail"], shop.offers.of("clicks")
    each = solve(shop.offers, clicks, [Rule("tail", tail, 3)], 5).chosen
    average = on_average(shop.offers, clicks, each, tail, 5)
    shares = [tail[shop.offers.items[mask]].mean() for mask in (each, average, shop.made_for("clicks"))]
    assert shares[1] == pytest.approx(shares[0], abs=0.05) and shares[2] < shares[0] - 0.1
    assert shop.offers.total(average, "clicks").sum() >= shop.offers.total(each, "clicks").sum() * 0.97


def test_rules_that_cannot_be_kept_are_told_and_the_others_priced() -> None:
    shop = open_shop(dataset(), 5, n=20)
    tail = shop.groups["long tail"]
    sheet = {"kept": [Rule("tail", tail, 3)], "never": [Rule("nothing", np.zeros(50, dtype=bool), 1)]}
    table, notes = rule_costs(shop, sheet, seed=0, draws=50)
    assert table["rule"].tolist() == ["kept"] and len(notes) == 1 and "never" in notes[0] and "at least 0" in notes[0]
    assert table["greedy differs"].tolist() == ["0%"] and table["by programme"].tolist() == ["0%"]
