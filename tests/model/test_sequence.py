"""Order of histories and the Markov chain, on paper and on planted loops."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model.sequence import Markov
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem


def walks(n_users: int = 30, n_items: int = 12, length: int = 6, seed: int = 0) -> Interactions:
    """Users who walk round a ring of items, one step at a time, from a random place: only order tells what is next."""
    first = np.random.default_rng(seed).integers(n_items, size=n_users)
    user, step = np.divmod(np.arange(n_users * length), length)
    time = pd.to_datetime(1_000_000 + 60 * step, unit="s")
    rows = pd.DataFrame({"user": user, "item": (first[user] + step) % n_items, "value": 1.0, "time": time})
    return Interactions(rows.sample(frac=1, random_state=seed), n_users, n_items)


def history(items: list[int], n_items: int = 12) -> sparse.csr_matrix:
    """One row, its entries stored in the order of the list."""
    return sparse.csr_matrix((np.ones(len(items)), items, [0, len(items)]), shape=(1, n_items))


def test_markov_on_paper() -> None:
    """Sequences 0 1 2 and 0 1 0: after 1 came 2 once and 0 once; after 0 came 1 twice."""
    rows = pd.DataFrame({"user": [0, 0, 0, 1, 1, 1], "item": [0, 1, 2, 0, 1, 0], "value": 1.0, "time": range(6)})
    model = Markov(smooth=2).fit(Interactions(rows.assign(time=pd.to_datetime(rows.time, unit="s")), 2, 3))
    assert model.follows.toarray().tolist() == [[0, 2, 0], [1, 0, 1], [0, 0, 0]]
    np.testing.assert_allclose(model.score(history([1], 3)), [[(1 + 1) / 4, (2 / 3) / 4, (1 + 1 / 3) / 4]], rtol=1e-6)
    np.testing.assert_allclose(model.score(history([2], 3)), [[3 / 6, 2 / 6, 1 / 6]], rtol=1e-6)


def test_markov_finds_the_next_step_of_known_users() -> None:
    train = walks()
    lists = recommend(Markov().fit(train), train.matrix(), 1)
    newest = train.rows.sort_values("time").groupby("user").item.last()
    assert np.array_equal(lists[:, 0], (newest.to_numpy() + 1) % 12)


def test_known_users_are_read_by_time_and_others_as_written() -> None:
    train = walks()
    model = Markov().fit(train)
    model.length = 3
    model._remember(train, anew=True)
    newest = train.rows.sort_values(["user", "time"]).groupby("user").item.apply(lambda items: items.tolist()[-3:])
    assert model.read(train.matrix()).tolist() == newest.tolist()
    assert model.read(history([7, 2])).tolist() == [[-1, 7, 2]] and model.read(history([2, 7])).tolist() == [[-1, 2, 7]]
    assert model.read(history([])).tolist() == [[-1, -1, -1]]
    assert model.score(history([7, 2])).argmax() == 3 and model.score(history([2, 7])).argmax() == 8


def test_later_events_can_be_made_known_without_learning() -> None:
    train = walks()
    user = train.rows[train.user == 0].sort_values("time")
    jump = (user.item.iloc[-1] + 3) % 12
    went_on = pd.concat([user, user.iloc[-1:].assign(item=jump, time=user.time.max() + pd.Timedelta(1, "h"))])
    later = Interactions(went_on, train.n_users, train.n_items)
    model = Markov().fit(train)
    knowing = model.knowing(later)
    assert knowing.read(later.matrix()[:1]).tolist() == [[jump]]
    assert knowing.score(later.matrix()[:1]).argmax() == (jump + 1) % 12
    assert len(model.order_keys) == 30 and len(knowing.order_keys) == 31
    assert np.array_equal(model.score(train.matrix()), knowing.score(train.matrix()))


def test_without_times_the_cure_is_named() -> None:
    timeless = Interactions(walks().rows.drop(columns="time"), 30, 12)
    with pytest.raises(Problem, match="markov needs a time"):
        Markov().fit(timeless)
    with pytest.raises(Problem, match="smooth must be a positive number"):
        Markov(smooth=0)
