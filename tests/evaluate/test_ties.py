"""Tied last events on paper: who counts as tied, and that an order of ties alone can make or break a model."""

import numpy as np
import pandas as pd
import pytest

from recutils.evaluate.ties import by_people, duel, last_one, orders, records, session_sizes, tied_last
from recutils.model.baselines import Popularity
from recutils.model.sequence import Markov
from recutils.tables import Interactions, Problem


def pages(n_users: int = 40, n_items: int = 40, length: int = 6) -> Interactions:
    """Users who tick off pages of two items at one moment; page p holds items 2 p and 2 p + 1, in this order."""
    first = np.random.default_rng(0).integers(n_items // 2, size=n_users)
    user, step = np.divmod(np.arange(n_users * length), length)
    page = (first[user] + step // 2) % (n_items // 2)
    rows = pd.DataFrame({"user": user, "item": 2 * page + step % 2, "value": 1.0})
    return Interactions(rows.assign(time=pd.to_datetime(86_400 * (step // 2), unit="s")), n_users, n_items)


def test_tied_users_and_sizes_on_paper() -> None:
    rows = pd.DataFrame({"user": [0, 0, 0, 1, 1, 2], "item": [0, 1, 2, 0, 1, 0], "value": 1.0})
    events = Interactions(rows.assign(time=pd.to_datetime([5, 9, 9, 3, 4, 1], unit="s")), 4, 3)
    assert tied_last(events).tolist() == [True, False, False, False]
    assert session_sizes(events).to_numpy().tolist() == [[1, 4 / 6], [2, 2 / 6]]
    timeless = Interactions(rows, 4, 3)
    with pytest.raises(Problem, match="no time"):
        tied_last(timeless)


def test_the_order_of_ties_makes_a_chain_and_leaves_untied_users_alone() -> None:
    events = pages()
    assert tied_last(events).all()
    found = last_one(events, {"popularity": Popularity, "markov": Markov}, k=1, seed=1, n_random=2)
    assert found.choices["tied times"] == ("file", "reversed", "by item", "random 1", "random 2")
    means = dict(zip(found.choices["tied times"], found.means[:, 1], strict=True))
    assert means["file"] == means["by item"] > 0.9 and means["random 1"] < 0.8
    rows = events.rows.assign(time=pd.to_datetime(3600 * np.arange(len(events)), unit="s"))
    untied = last_one(Interactions(rows, 40, 40), {"markov": Markov}, k=1, seed=1, n_random=1)
    assert np.ptp(untied.values, axis=1).max() == 0


def test_records_hold_each_order_and_a_family_of_changes() -> None:
    found = last_one(pages(), {"popularity": Popularity, "markov": Markov}, k=1, seed=1, n_random=1)
    made = records(found, notebook="n", dataset="pages", k=1, seed=1, draws=500)
    table = made.to_frame().set_index(["split", "model"])
    assert len(made) == 8 and table.p.notna().sum() == 6 and (table.p_holm.dropna() >= table.p.dropna()).all()
    row = table.loc[("last_1, ties random 1", "markov")]
    assert np.isclose(row.value, found.means[3, 1]) and row.against == "markov, ties file" and row.n == 40
    assert np.isclose(row.delta, found.means[3, 1] - found.means[0, 1]) and row.p_holm < 0.05


def test_some_orders_alone_are_the_same_orders() -> None:
    models = {"markov": Markov}
    whole = last_one(pages(), models, k=1, seed=1, n_random=2)
    some = last_one(pages(), models, k=1, seed=1, n_random=2, only=("random 2", "file"))
    assert some.choices["tied times"] == ("file", "random 2")
    assert np.array_equal(some.values, whole.values[:, [0, 4]], equal_nan=True)
    with pytest.raises(Problem, match="with 'file'; got"):
        last_one(pages(), models, k=1, seed=1, only=("reversed",))


def test_at_least_one_random_order_is_asked_for() -> None:
    with pytest.raises(Problem, match="at least 1 draw"):
        orders(0)


def test_people_are_parted_by_their_last_event() -> None:
    events = pages()
    alone = events.user.to_numpy() % 2 == 1  # odd users lose the second item of each page, so nothing of theirs is tied
    kept = events.only(~(alone & (events.item.to_numpy() % 2 == 1)))
    found = last_one(kept, {"markov": Markov}, k=1, seed=1, n_random=1)
    table = by_people(found, tied_last(kept)).set_index("people")
    assert table.users.tolist() == [20, 20]
    assert np.isclose(table.loc["tied last event", "file"], found.values[::2, 0].mean())
    assert (table.least <= table.file).all() and (table.file <= table.most).all()


def test_a_duel_is_held_in_the_orders_that_both_saw() -> None:
    chain = last_one(pages(), {"popularity": Popularity, "markov": Markov}, k=1, seed=1, n_random=1)
    other = last_one(pages(), {"popularity": Popularity}, k=1, seed=1, n_random=1, only=("file", "random 1"))
    found = duel(chain, other, seed=1, draws=200).set_index("ties")
    assert found.index.tolist() == ["file", "random 1"] and found.users.tolist() == [40, 40]
    assert np.isclose(found.difference["random 1"], chain.means[3, 1] - other.means[1, 0])
    assert found.difference.between(found.low, found.high).all()
