"""People as visitors: everybody's own before and during, nothing of the future in the lists."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.visitors import activity, arms, pasts, periods, visitors
from recutils.model.baselines import Popularity, Random
from recutils.tables import Dataset, Interactions, Problem


def test_periods_cut_each_history_in_order_of_time(ratings: Interactions) -> None:
    past, before, during = periods(ratings)
    assert len(past) + len(before) + len(during) <= len(ratings)
    for user in np.unique(during.user):
        times = [part.time[part.user == user] for part in (past, before, during)]
        assert times[0].max() <= times[1].min() and times[1].max() <= times[2].min()
        assert len(times[2]) == pytest.approx(sum(map(len, times)) / 4, abs=1)


def test_short_histories_and_missing_times(ratings: Interactions) -> None:
    rows = pd.concat([ratings.rows, pd.DataFrame({"user": [40], "item": [0], "value": [1.0],
                                                  "time": [ratings.time.iloc[0]]})])  # fmt: skip
    parts = periods(Interactions(rows, 41, 30))
    assert all(40 not in set(part.user) for part in parts)
    with pytest.raises(Problem, match="no time"):
        periods(Interactions(ratings.rows.drop(columns="time"), 40, 30))
    with pytest.raises(Problem, match="no user has 8"):
        periods(ratings.only(np.arange(20)))


def test_visitors_have_every_metric(dataset: Dataset) -> None:
    found = visitors(dataset, {"popularity": Popularity(), "random": Random(seed=0)}, 5)
    assert {"ndcg before, popularity", "ndcg, popularity", "ndcg, random", "hit_rate, random", "rating"} <= set(
        found.table
    )
    assert found.table.index.isin(dataset.users["user_id"]).all() and "take part" in found.notes[0]
    assert found.table.filter(like="ndcg").notna().all().all()
    assert "ndcg before, random" not in found.table


def test_lists_do_not_know_the_experiment(dataset: Dataset) -> None:
    table = visitors(dataset, {"popularity": Popularity()}, 5).table
    rows = dataset.interactions.rows.copy()
    _, before, during = periods(dataset.interactions)
    late = rows.merge(during.rows[["user", "item"]].assign(late=True), how="left").late.eq(True).to_numpy()
    rows.loc[late, "value"] = 1.0  # another outcome must not move what came before
    other = Dataset("x", Interactions(rows, 40, 30), dataset.users, dataset.items, True)
    again = visitors(other, {"popularity": Popularity()}, 5).table
    pd.testing.assert_frame_equal(table.drop(columns="rating"), again.drop(columns="rating"))
    assert not table.rating.equals(again.rating) and len(before)


def test_activity_counts_who_stayed_away() -> None:
    days = pd.to_datetime(np.array([0, 1, 2, 3, 7, 8, 9, 9.5]) * 86400, unit="s")
    rows = pd.DataFrame({"user": [0, 0, 1, 1, 0, 0, 2, 0], "item": range(8), "value": 1.0, "time": days})
    found = activity(Interactions(rows, 3, 8), share=0.6)
    assert found.index.tolist() == [0, 1] and found.during.tolist() == [2, 0]
    assert found.before.sum() <= 5


def test_pasts_and_arms_come_from_the_table(dataset: Dataset) -> None:
    table = visitors(dataset, {"popularity": Popularity(), "random": Random(seed=0)}, 5).table
    pairs = pasts(table, dataset.interactions, "popularity")
    assert set(pairs) == {"ndcg", "hit_rate", "recall", "mean rating", "events by calendar"}
    assert all(out.index.equals(before.index) for out, before in pairs.values())
    control, treated = arms(table, ("popularity", "random"), 20, 0)
    assert len(control) == len(treated) == 10 and not set(control.index) & set(treated.index)
    np.testing.assert_array_equal(treated["ndcg"], table.loc[treated.index, "ndcg, random"])
    np.testing.assert_array_equal(control["familiarity"], -table.loc[control.index, "novelty, popularity"])
    with pytest.raises(Problem, match="number of visitors"):
        arms(table, ("popularity", "random"), 1000, 0)
