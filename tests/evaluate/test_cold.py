"""Nested cold folds, pairs and their intervals, on planted data with known answers."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.evaluate import cold
from recutils.evaluate.metrics import ndcg
from recutils.model.als import ALS
from recutils.model.baselines import Popularity, Random
from recutils.model.cold import TextMap
from recutils.rank.top import recommend
from recutils.tables import Interactions, Problem


@pytest.fixture
def events():
    rng = np.random.default_rng(3)
    met = np.argwhere(rng.random((40, 30)) < 0.4)
    return Interactions(pd.DataFrame({"user": met[:, 0], "item": met[:, 1], "value": 1.0}), 40, 30)


class Fixed:
    """Scores that do not look at the history."""

    def __init__(self, scores):
        self.scores = np.asarray(scores, dtype=np.float32)

    def score(self, histories):
        return np.tile(self.scores, (histories.shape[0], 1))


def test_every_item_is_judged_once_and_choices_never_see_it(events):
    folds = cold.nested_folds(events)
    judged = [set(fold.cold.item) for fold in folds]
    assert sorted(item for items in judged for item in items) == sorted(set(events.item))
    for fold, items in zip(folds, judged, strict=True):
        assert not items & set(fold.train.item) and not items & set(fold.inner_train.item)
        assert not items & set(fold.inner_cold.item), "the choice saw the judged items"
        assert not set(fold.inner_cold.item) & set(fold.inner_train.item)
        assert len(fold.train) == len(fold.inner_train) + len(fold.inner_cold) == len(events) - len(fold.cold)


def test_warm_items_are_refused_as_cold(events):
    fold = cold.nested_folds(events)[0]
    with pytest.raises(Problem, match="has a training event"):
        cold.cold_task(events, fold.cold)
    alone = fold.cold.only(fold.cold.user.to_numpy() == fold.cold.user[0])
    rest = fold.train.only(fold.train.user.to_numpy() != fold.cold.user[0])
    with pytest.raises(Problem, match="nobody has a warm history"):
        cold.cold_task(rest, alone)


def test_strangers_are_counted_and_lists_hold_cold_items_only(events):
    fold = cold.nested_folds(events)[0]
    gone = int(fold.cold.user[0])
    task = cold.cold_task(fold.train.only(fold.train.user.to_numpy() != gone), fold.cold)
    assert task.n_strangers == 1 and gone not in task.users
    shown = task.lists({"random": Random(seed=1).fit(fold.train)}, 5)["random"]
    assert np.isin(shown, task.items).all()
    model = Popularity().fit(fold.cold)
    assert np.array_equal(
        task.lists({"p": model}, 5)["p"], recommend(model, task.histories, 5, candidates=task.items)
    ), "the short way must rank as rank.recommend does"


def test_pairs_give_the_metric_and_folds_their_means(events):
    folds = cold.nested_folds(events)
    tables, direct = [], []
    for fold in folds:
        lists = fold.outer.lists({"oracle": Popularity().fit(fold.cold), "random": Random(seed=1).fit(fold.train)}, 5)
        tables.append(cold.pairs(lists, fold.outer, 5, fold=fold.number))
        direct.append(np.nanmean(ndcg(lists["oracle"], fold.outer.truth, 5)))
        assert fold.outer.mean(Popularity().fit(fold.cold), 5) == pytest.approx(direct[-1])
    found = cold.by_fold(pd.concat(tables), ["oracle", "random"])
    np.testing.assert_allclose(found["oracle"], direct, rtol=1e-6)
    assert found["oracle"].mean() > found["random"].mean()


def test_items_drawn_too_widen_the_interval_when_items_differ():
    users, items = np.meshgrid(np.arange(200), np.arange(8), indexing="ij")
    table = pd.DataFrame({"user": users.ravel(), "item": items.ravel(), "weight": 1.0, "fold": 0})
    values = pd.Series((items.ravel() % 2).astype(float))  # items differ, people do not
    widths = {kind: cold.crossed(table, values, 7, kind=kind, draws=400) for kind in cold.KINDS}
    assert widths["users"].high - widths["users"].low < 1e-9
    assert widths["items"].high - widths["items"].low > 0.4 and widths["both"].mean == 0.5
    with pytest.raises(Problem, match="kind must be"):
        cold.crossed(table, values, 7, kind="people")


def test_one_list_is_the_average_persons(events):
    fold = cold.nested_folds(events)[0]
    scores = np.arange(30.0)
    shown = fold.outer.one_list(Fixed(scores), 3)
    assert (shown == np.sort(fold.outer.items)[::-1][:3]).all() and len(shown) == len(fold.outer.users)


def test_shared_factors_of_people_change_no_list(events):
    fold = cold.nested_folds(events)[1]
    vectors, bases = np.random.default_rng(2).normal(size=(30, 4)), [ALS(factors=4, seed=1).fit(fold.train)]
    shared = [TextMap(strength=s).with_bases(bases).with_vectors(vectors).fit(fold.train) for s in (0.1, 5.0)]
    lists = fold.outer.lists({"a": shared[0], "b": shared[1]}, 3)
    for name, model in zip("ab", shared, strict=True):
        direct = recommend(model, fold.outer.histories, 3, candidates=fold.outer.items)
        assert (lists[name] == direct).mean() > 0.99
    table = cold.judged(events, {"a": shared[0]}, lambda train: [ALS(factors=4, seed=1).fit(train)], 3, n_judged=2)
    assert set(table.fold) == {0, 1} and {"a", "random", "oracle"} <= set(table)


def test_shortened_histories_are_nested():
    full = sparse.random(30, 50, density=0.3, format="csr", random_state=4)
    short = {n: cold.shortened(full, n, 9) for n in (0, 1, 2, 5, 99)}
    assert short[0].nnz == 0 and (short[99] != full).nnz == 0
    for few, more in ((1, 2), (2, 5), (5, 99)):
        assert (np.diff(short[few].indptr) == np.minimum(np.diff(full.indptr), few)).all()
        kept = short[few].astype(bool)
        assert (kept.multiply(short[more].astype(bool)) != kept).nnz == 0
    with pytest.raises(Problem, match="0 or more"):
        cold.shortened(full, -1, 9)


def test_first_events_are_the_earliest_and_one_stays():
    rows = pd.DataFrame({"user": [0, 1, 2, 3, 4], "item": [2, 2, 2, 5, 5], "value": 1.0})
    rows["time"] = pd.to_datetime([30, 10, 20, 2, 1], unit="s")
    early, late = cold.first_events(Interactions(rows, 5, 6), 2, 0)
    assert early.user.tolist() == [1, 2, 4] and late.user.tolist() == [0, 3]
    none, all_ = cold.first_events(Interactions(rows, 5, 6), 0, 0)
    assert len(none) == 0 and len(all_) == 5
    drawn, rest = cold.first_events(Interactions(rows.drop(columns="time"), 5, 6), 1, 0)
    assert len(drawn) == 2 and len(rest) == 3 and set(drawn.item) == {2, 5}
    assert len(cold.together([drawn, rest])) == 5
