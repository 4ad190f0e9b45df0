"""Order of events: four orders of ties on paper, and sequences."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import split
from recutils.data.order import TIES, reorder_ties, sequences, tied, windows
from recutils.tables import Interactions, Problem


def events() -> Interactions:
    """User 0 meets 3, then 1, 5 and 2 at one moment (with user 1's row between), then 4; user 1 meets 2, 0 together."""
    told = [(0, 3, 10), (0, 1, 20), (1, 2, 20), (0, 5, 20), (0, 2, 20), (1, 0, 20), (0, 4, 30)]
    rows = pd.DataFrame(told, columns=["user", "item", "time"]).assign(value=1.0)
    rows["time"] = pd.to_datetime(rows.time, unit="s")
    return Interactions(rows, 3, 6)


@pytest.mark.parametrize(
    ("ties", "first", "second"),
    [("file", [3, 1, 5, 2, 4], [2, 0]), ("reversed", [3, 2, 5, 1, 4], [0, 2]), ("item", [3, 1, 2, 5, 4], [0, 2])],
)
def test_orders_of_ties_on_paper(ties: str, first: list[int], second: list[int]) -> None:
    found = sequences(reorder_ties(events(), ties))
    assert found.of(0).tolist() == first and found.of(1).tolist() == second and found.of(2).tolist() == []
    assert len(found) == 3


def test_only_tied_rows_change_places() -> None:
    before = events()
    for ties in TIES:
        after = reorder_ties(before, ties, rng=1)
        assert after.user.equals(before.user) and after.time.equals(before.time)
        fixed = ~tied(before)
        assert after.rows[fixed].equals(before.rows[fixed])
        assert sorted(map(tuple, after.rows.to_numpy().tolist())) == sorted(map(tuple, before.rows.to_numpy().tolist()))
    assert reorder_ties(before, "file").rows.equals(before.rows)
    assert reorder_ties(reorder_ties(before, "reversed"), "reversed").rows.equals(before.rows)


def test_random_ties_reach_every_order_and_follow_the_seed() -> None:
    found = {tuple(sequences(reorder_ties(events(), "random", rng=seed)).of(0)) for seed in range(60)}
    assert len(found) == 6
    assert reorder_ties(events(), "random", rng=3).rows.equals(reorder_ties(events(), "random", rng=3).rows)


def test_a_split_follows_the_order_of_ties() -> None:
    rows = events().rows.query("item != 4")
    last = [split.last_n(reorder_ties(Interactions(rows, 3, 6), ties)).test.item.tolist() for ties in ("file", "item")]
    assert last == [[2], [5]]


def test_the_last_items_are_filled_from_the_left() -> None:
    found = sequences(events())
    assert found.last(3).tolist() == [[5, 2, 4], [-1, 2, 0], [-1, -1, -1]]
    assert windows(np.array([], dtype=np.int32), np.array([0]), np.array([0]), 2).tolist() == [[-1, -1]]


def test_what_cannot_be_ordered_is_named() -> None:
    with pytest.raises(Problem, match="ties must be one of file, reversed, random, item; got 'id'"):
        reorder_ties(events(), "id")
    timeless = Interactions(events().rows.drop(columns="time"), 3, 6)
    for call in (sequences, tied, lambda given: reorder_ties(given, "file")):
        with pytest.raises(Problem, match="no time"):
            call(timeless)
