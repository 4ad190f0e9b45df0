"""A shop of one's own: words for intervals, weights of a text, lists that are screened and say why."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.case import own
from recutils.data.split import house
from recutils.evaluate.choose import choose
from recutils.evaluate.task import task
from recutils.model.baselines import Popularity
from recutils.model.neighbours import ItemNeighbours
from recutils.tables import ITEM, ITEM_ID, TIME, TITLE, USER, USER_ID, VALUE, Dataset, Interactions, Problem
from recutils.trust.explain import POPULAR, because
from recutils.trust.filter import load_rules

N_USERS, N_ITEMS = 80, 30


def tastes() -> Dataset:
    """Two halves of people who meet items of their own half, item i in the same order of time for all."""
    rng = np.random.default_rng(0)
    met = [np.sort(rng.choice(N_ITEMS // 2, 9, replace=False)) * 2 + u % 2 for u in range(N_USERS)]
    rows = pd.DataFrame({USER: np.repeat(np.arange(N_USERS), 9), ITEM: np.concatenate(met)})
    rows = rows.sample(frac=1, random_state=1, ignore_index=True)
    rows[VALUE], rows[TIME] = 1.0, pd.to_datetime(1_000_000_000 + 3600 * np.arange(len(rows)), unit="s")
    names = [f"{'Tea' if i % 2 else 'Bolt'} {i}" for i in range(N_ITEMS)]
    names[3] = "Casino night"
    items = pd.DataFrame({ITEM_ID: [f"i{i}" for i in range(N_ITEMS)], TITLE: names})
    users = pd.DataFrame({USER_ID: [f"u{u}" for u in range(N_USERS)]})
    return Dataset("tastes", Interactions(rows, N_USERS, N_ITEMS), users, items, False)


def test_the_text_is_weighed_on_validation_alone_and_never_zero():
    data = tastes()
    parts = house(data.interactions)
    rules = task(parts, data.name, 5)
    texts = np.eye(2, dtype=np.float32)[np.arange(N_ITEMS) % 2]
    choice = choose(parts, rules, {"tfidf": texts}, seed=1, draws=50, only=[*own.LADDER, "content tfidf"])
    made = own.joined(choice, rules, "content tfidf")
    assert made.weight in own.WEIGHTS and set(made.tried) == set(own.WEIGHTS) and made.behaviour in own.LADDER[1:]
    assert made.tried[made.weight] == max(made.tried.values()) and made.name == f"{made.behaviour} + tfidf"
    with pytest.raises(Problem, match="part 'valid'"):
        own.joined(choice, task(parts, data.name, 5, part="test"), "content tfidf")


def test_reasons_are_those_of_the_explainer():
    data = tastes()
    model = ItemNeighbours(neighbours=10).fit(data.interactions)
    histories, names = data.interactions.matrix(), data.items[TITLE].tolist()
    for user in (0, 1, 7):
        items = [item for item in range(6) if histories[user, item] == 0]
        lines = own.reasons(model, histories[[user]], items, names)
        assert lines == [because(model, histories[[user]], item, names) for item in items]


def test_nobody_is_told_a_reason_that_is_none():
    popular = Popularity().fit(tastes().interactions)
    one = sparse.csr_matrix(([1.0], ([0], [4])), shape=(1, N_ITEMS), dtype=np.float32)
    empty = sparse.csr_matrix((1, N_ITEMS), dtype=np.float32)
    assert own.reasons(popular, one, [1, 2], ["x"] * N_ITEMS) == [POPULAR] * 2
    assert own.reasons(popular, empty, [1], ["x"] * N_ITEMS) == [POPULAR]


def test_the_list_file_is_screened_filled_up_and_says_why(tmp_path):
    data = tastes()
    model = ItemNeighbours(neighbours=10).fit(data.interactions)
    out = tmp_path / "lists.csv"
    popular = Popularity().fit(data.interactions).popular
    shown = own.write_shown(out, model, data, np.arange(N_USERS), k=5, rules=load_rules(), popular=popular)
    table = pd.read_csv(out)
    assert tuple(table.columns) == own.COLUMNS and "Casino night" not in set(table.title)
    assert (
        (table.groupby("user_id").size() == 5).all() and (shown.audit.text == "Casino night").all() and len(shown.audit)
    )
    assert table.why.notna().all() and table.why.str.startswith("because you chose").mean() > 0.9
    met = set(zip(data.user_ids.ids(data.interactions.user), data.item_ids.ids(data.interactions.item), strict=True))
    assert not met & set(zip(table.user_id, table.item_id, strict=True)), "nothing twice"
    assert table.groupby("user_id").score.apply(lambda one: one.is_monotonic_decreasing).all()
    assert shown.counts["rows"] == len(table) == 5 * N_USERS


def test_texts_of_rare_items_are_left_unread():
    data = tastes()
    counts = np.bincount(data.interactions.item, minlength=N_ITEMS)
    kept = own.thinned(["text"] * N_ITEMS, data.interactions, 4)
    assert sum(map(bool, kept)) == 4 and min(counts[[bool(one) for one in kept]]) >= np.sort(counts)[-5]
    assert own.thinned(["a", "b"], data.interactions, 0) == ["a", "b"]


def test_cold_maps_beat_chance_where_texts_tell_all():
    data = tastes()
    texts = np.eye(2, dtype=np.float32)[np.arange(N_ITEMS) % 2]
    table = own.cold_pairs(data.interactions, {"told": texts}, 5, n_judged=2, seed=1)
    assert {"cold map, told", "random", "oracle"} <= set(table) and table["cold map, told"].mean() > table[
        "random"
    ].mean()


def test_the_card_counts():
    rows = dict(own.card(tastes()).to_numpy().tolist())
    assert rows["people"] == str(N_USERS) and rows["events"] == str(9 * N_USERS) and rows["events have times"] == "yes"
    assert rows["values are opinions"] == "no" and rows["events of the middle person"] == "9"
