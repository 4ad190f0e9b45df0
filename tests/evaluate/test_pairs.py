"""Studies of pairs: people held out, rules that see what they say, lists that hold what was asked for."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.pairs import article_pairs, movie_pairs
from recutils.evaluate.pairs import Study, study
from recutils.tables import Dataset, Interactions

N_USERS, N_ITEMS = 60, 30


def _data(*, explicit: bool = True) -> Dataset:
    """Items of even number are liked by all, the others by nobody."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(N_ITEMS)[:16] for _ in range(N_USERS)])
    rows = pd.DataFrame({"user": np.repeat(np.arange(N_USERS), 16), "item": items})
    rows["value"] = np.where(items % 2 == 0, 5.0, 1.0) if explicit else 1.0
    if explicit:
        rows["time"] = pd.Timestamp("1998-01-01") + pd.to_timedelta(np.tile(np.arange(16), N_USERS), unit="s")
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(N_USERS)]})
    table = pd.DataFrame({"item_id": [f"i{n}" for n in range(N_ITEMS)], "title": [f"Film {n}" for n in range(N_ITEMS)]})
    return Dataset("made", Interactions(rows, N_USERS, N_ITEMS), users, table, explicit=explicit)


@pytest.fixture(scope="module")
def asked() -> Study:
    data = _data()
    return study(data, movie_pairs(data, 240, history=4), 80, 2, people=6, shown=5)


def test_people_are_held_out_and_lists_are_whole(asked: Study) -> None:
    groups = asked.pairs.groups
    assert not set(groups[asked.asked]) & set(asked.learners)
    assert all(set(groups[rows]) <= set(asked.learners) for rows in asked.draws)
    assert len(asked.people) == 6 and len(asked.lists) == 30 and set(asked.people) <= set(groups[asked.test])


def test_the_rule_that_knows_the_answer_is_perfect_and_the_majority_is_not(asked: Study) -> None:
    rules = asked.rules()
    found = asked.judge(rules, seed=0, draws=50)
    assert found.mean("item mean") == 1.0 and found.mean("majority") == 0.5
    assert all(len(one) == len(asked.asked) for one in rules["both rules"])


def test_lists_put_the_likely_first_and_ties_by_item(asked: Study) -> None:
    scores = asked.rules()["item mean"][0][len(asked.test) :, 1]
    lists, truth = asked.ranked(scores, 5), asked.truth()
    assert lists.shape == (6, 5) and truth.shape == (6, N_ITEMS)
    even = lists % 2 == 0
    assert (np.diff(even.astype(int), axis=1) <= 0).all()
    assert (np.diff(asked.ranked(np.zeros(30), 5), axis=1) > 0).all()
    for person, row in enumerate(lists):
        assert set(truth[person].indices) <= {int(item) for item in row if item % 2 == 0}


def test_articles_have_rules_of_their_own() -> None:
    data = _data(explicit=False)
    found = study(data, article_pairs(data, 200, history=4), 60, 1)
    assert set(found.rules()) == {"majority", "popularity", "shared words", "both rules"} and len(found.lists) == 0
