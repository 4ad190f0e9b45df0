"""The hybrid on planted data: what it learns, what may not leak, what repeats."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.rank import hybrid as stage
from recutils.rank.features import GROUPS, side_of
from recutils.rank.hybrid import Hybrid, random_cuts, study, temporal_cuts
from recutils.rank.ranker import Ranker, Table, softmax_weights
from recutils.rank.top import recommend
from recutils.tables import Dataset, Interactions, Problem


@pytest.fixture(scope="module")
def planted() -> Dataset:
    """120 people, 60 items; people meet items whose text points their way, popular items more often."""
    rng = np.random.default_rng(5)
    taste = np.arange(120) % 4
    user = np.repeat(np.arange(120), 12)
    weight = 1 / (1 + np.arange(60) // 4)
    item = np.concatenate([rng.choice(60, 12, replace=False, p=odds(weight, one)) for one in taste])
    time = pd.to_datetime(10**9 + rng.permutation(len(user)) * 600, unit="s")
    rows = pd.DataFrame({"user": user, "item": item, "value": rng.integers(1, 6, len(user)), "time": time})
    users = pd.DataFrame({"user_id": np.arange(120).astype(str), "age": rng.integers(18, 60, 120)})
    items = pd.DataFrame({"item_id": np.arange(60).astype(str), "title": "a title"})
    return Dataset("planted", Interactions(rows, 120, 60), users, items, explicit=True)


def odds(weight: np.ndarray, taste: int) -> np.ndarray:
    chance = weight * np.where(np.arange(60) % 4 == taste, 20.0, 1.0)
    return chance / chance.sum()


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.eye(4, dtype=np.float32)[np.arange(60) % 4]


@pytest.fixture(scope="module")
def base(planted: Dataset, vectors: np.ndarray) -> Iterator[stage.Study]:
    train = planted.interactions
    yield study(train, side_of(planted, vectors), random_cuts(train, 2), n_candidates=30)


def lists_of_labels(n_lists: int = 400, n: int = 20, seed: int = 1) -> Table:
    """Lists whose labels follow the first feature alone; the second is noise, the third the same for a whole list."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_lists, n, 3)).astype(np.float32)
    values[:, :, 2] = rng.normal(size=(n_lists, 1))
    labels = values[:, :, 0] >= np.sort(values[:, :, 0], axis=1)[:, [-3]]
    items = np.tile(np.arange(n), (n_lists, 1))
    blend = np.zeros((n_lists, n), dtype=np.float32)
    return Table(items, values, ("decides", "noise", "of the list"), ("cf", "text", "traits"), blend, labels)


def test_the_feature_that_decides_is_found() -> None:
    lessons = lists_of_labels()
    ranker = Ranker(rounds=30, shares=(1, 1, 0)).fit([lessons])
    best = ranker.score(lessons).argmax(axis=1)
    assert np.take_along_axis(lessons.labels, best[:, None], axis=1).mean() > 0.97
    assert ranker.importance(lessons.names)["decides"] > 0.9
    blind = Ranker(groups=("text",), rounds=30, shares=(1, 1, 0)).fit([lessons]).score(lists_of_labels(100))
    assert blind.shape == (100, 20)


def test_weights_of_what_says_nothing_within_lists_are_zero() -> None:
    lessons = lists_of_labels()
    weights = softmax_weights(lessons.values, lessons.labels, 1.0)
    assert weights[0] > 1 and abs(weights[1]) < 0.2 and abs(weights[2]) < 1e-3


def test_shuffled_labels_teach_nothing() -> None:
    lessons, fresh = lists_of_labels(), lists_of_labels(seed=8)
    mixed = np.random.default_rng(2).permuted(lessons.labels, axis=1)
    assert np.abs(softmax_weights(lessons.values, mixed, 1.0)).max() < 0.1, "with the true labels the first is above 1"
    shuffled = Table(**{**vars(lessons), "labels": mixed})
    best = Ranker(rounds=30, shares=(0, 1, 0)).fit([shuffled]).score(fresh).argmax(axis=1)
    found = np.take_along_axis(fresh.labels, best[:, None], axis=1).mean()
    assert found < 0.4, "by chance .15, with the true labels nearly 1"


def test_random_cuts_make_each_event_a_label_once(planted: Dataset) -> None:
    train = planted.interactions
    cuts = random_cuts(train, 3)
    pairs = pd.concat([held.rows for _, held in cuts])[["user", "item"]]
    assert len(pairs) == len(train) and not pairs.duplicated().any()
    counts = np.bincount(train.item, minlength=60)
    for inner, held in cuts:
        assert len(inner) + len(held) == len(train)
        assert (np.abs(np.bincount(held.item, minlength=60) - counts / 3) < 1).all(), "stratified by item"


def test_temporal_cuts_look_ahead_only(planted: Dataset) -> None:
    cuts = temporal_cuts(planted.interactions, 3, 0.1)
    assert len(cuts) == 3
    assert all(inner.time.max() < held.time.min() for inner, held in cuts)
    assert cuts[-1][1].time.max() == planted.interactions.time.max()


def test_no_feature_moves_when_the_held_out_events_change(planted: Dataset, vectors: np.ndarray) -> None:
    inner, held = random_cuts(planted.interactions, 2)[0]
    other = Interactions(held.rows.assign(item=(held.item + 7) % 60, value=1.0), 120, 60)
    side = side_of(planted, vectors)
    one, two = (study(inner, side, [(inner, labels)], n_candidates=20).lessons[0] for labels in (held, other))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.items, two.items)
    assert (one.labels != two.labels).any()


def test_nothing_of_the_study_reads_events_outside_the_training_part(base: stage.Study) -> None:
    seen = base.train.matrix("binary").toarray() > 0
    shown = np.take_along_axis(seen, base.final.items, axis=1)
    assert not shown.any(), "a candidate is never a training event while there are others"
    assert base.final.labels is None


def test_a_second_run_gives_the_same_scores(base: stage.Study) -> None:
    first, second = (Ranker(rounds=10, seed=3).fit(base.lessons).score(base.final) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_hybrid_ranks_known_people_and_serves_strangers(base: stage.Study) -> None:
    model = Hybrid(base, Ranker(rounds=10).fit(base.lessons))
    histories = base.train.matrix()
    lists = recommend(model, histories, 5)
    assert (lists >= 0).all()
    assert all(np.isin(row, own).all() for row, own in zip(lists, base.final.items, strict=True))
    order = np.random.default_rng(0).permutation(len(lists))
    np.testing.assert_array_equal(recommend(model, histories[order], 5), lists[order])
    strangers = sparse.vstack([sparse.csr_matrix((1, 60)), histories[0].maximum(histories[1])], format="csr")
    scores = model.score(strangers)
    assert np.isfinite(scores).all() and scores.shape == (2, 60)


def test_text_helps_where_only_text_tells(planted: Dataset, vectors: np.ndarray) -> None:
    train = planted.interactions
    held = random_cuts(train, 4, seed=9)[0]
    side = side_of(planted, vectors)
    inner = study(held[0], side, random_cuts(held[0], 2), n_candidates=30)
    truth = held[1].matrix("binary").toarray() > 0
    hits = {}
    for groups in (GROUPS, ("popularity",)):
        model = Hybrid(inner, Ranker(groups=groups, rounds=20, shares=(1, 1, 0)).fit(inner.lessons))
        lists = recommend(model, held[0].matrix(), 3)
        hits[groups] = np.take_along_axis(truth, lists, axis=1).mean()
    assert hits[GROUPS] > 1.3 * hits["popularity",]


def test_without_texts_and_times_it_still_works(planted: Dataset) -> None:
    train = Interactions(planted.interactions.rows[["user", "item", "value"]].assign(value=1.0), 120, 60)
    own = Dataset("own", train, planted.users[["user_id"]], planted.items, explicit=False)
    found = study(train, side_of(own), random_cuts(train, 2), n_candidates=100)
    assert found.final.items.shape == (120, 60), "a small catalogue is all candidates"
    assert set(found.final.groups) == {"cf", "popularity", "traits"}
    assert np.isfinite(Hybrid(found, Ranker(rounds=5).fit(found.lessons)).scores).all()


def test_bad_input_is_refused(base: stage.Study, planted: Dataset) -> None:
    with pytest.raises(Problem, match="at least one cut"):
        study(base.train, base.side, [])
    for wrong in ({"groups": ("sound",)}, {"groups": ()}, {"objective": "rmse"}, {"shares": (0, 0, 0)}):
        with pytest.raises(Problem):
            Ranker(**wrong)
    with pytest.raises(Problem, match="before it was fitted"):
        Ranker().score(base.final)
    empty = Table(**{**vars(base.lessons[0]), "labels": np.zeros_like(base.lessons[0].labels)})
    with pytest.raises(Problem, match="no candidate"):
        Ranker().fit([empty])
    with pytest.raises(Problem, match="cuts"):
        random_cuts(planted.interactions, 1)
    with pytest.raises(Problem, match="n x share"):
        temporal_cuts(planted.interactions, 9, 0.1)
    known = base.models()["blend"]
    with pytest.raises(Problem, match="no training user"):
        known.score(sparse.csr_matrix(np.ones((1, 60), dtype=np.float32)))


def test_a_group_without_features_is_refused_kindly(planted: Dataset) -> None:
    train = planted.interactions
    bare = study(train, side_of(planted), random_cuts(train, 2), n_candidates=20)
    with pytest.raises(Problem, match="no feature"):
        Ranker(groups=("text",)).fit(bare.lessons)
