"""New articles on planted readers: panels stay outside, signals are judged alike, a drawn fold hides what it must."""

import numpy as np
import pandas as pd
import pytest

from recutils.case import news_cold
from recutils.evaluate.cold import nested_folds
from recutils.tables import Interactions, Problem

N_USERS, N_ITEMS = 120, 60


@pytest.fixture(scope="module")
def events() -> Interactions:
    """Two tastes (rows and articles alike by parity); readers 0-9 read much, others little."""
    rng = np.random.default_rng(0)
    likes = np.arange(N_USERS)[:, None] % 2 == np.arange(N_ITEMS) % 2
    chance = np.where(likes, 0.25, 0.02) * np.where(np.arange(N_USERS) < 10, 3, 1)[:, None]
    user, item = np.nonzero(rng.random((N_USERS, N_ITEMS)) < chance)
    return Interactions(pd.DataFrame({"user": user, "item": item, "value": 1.0}), N_USERS, N_ITEMS)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(1)
    return (np.eye(2)[np.arange(N_ITEMS) % 2] + 0.1 * rng.normal(size=(N_ITEMS, 2))).astype(np.float32)


def test_panels_are_apart_and_pick_about_as_much(events: Interactions) -> None:
    fold = nested_folds(events)[0]
    found = news_cold.panels(fold, 8, 0)
    assert not set(found["avid"]) & set(found["anybody"])
    known = np.bincount(fold.train.user, minlength=N_USERS)
    assert known[found["avid"]].min() >= np.delete(known, found["avid"]).max()
    picks = {name: int(fold.cold.user.isin(readers).sum()) for name, readers in found.items()}
    assert picks["avid"] <= picks["anybody"] <= picks["avid"] + 8
    counts = news_cold.picked(fold, found["avid"], 0)
    assert int(counts.sum()) == picks["avid"] and len(counts) == len(fold.outer.items)
    with pytest.raises(Problem, match="none of the 0"):
        news_cold.panels(fold, 0, 0)


def test_text_beats_chance_where_tastes_are_planted_and_nobody_of_a_panel_is_judged(
    events: Interactions, vectors: np.ndarray
) -> None:
    noise = np.random.default_rng(2).normal(size=vectors.shape).astype(np.float32)
    topics = {"hot": np.ones((N_ITEMS, 1), np.float32)}
    found = news_cold.newcomers(events, {"noise": noise, "text": vectors}, topics, [1.0], k=5, n_panel=5, seed=0)
    means = {name: np.average(found.table[name], weights=found.table.weight) for name in ("noise", "text", "random")}
    assert means["text"] > means["noise"] + 0.05 and means["text"] > means["random"] + 0.1
    assert {"oracle", "hot", "text + hot", "avid picks", "text + anybody picks"} <= set(found.table)
    folds = nested_folds(events)
    for fold in folds:
        sits = np.concatenate(list(news_cold.panels(fold, 5, 0).values()))
        assert not found.table[found.table.fold == fold.number].user.isin(sits).any()
    assert found.panels.groupby("fold").size().tolist() == [2] * len(folds)
    with pytest.raises(Problem, match="at least one kind"):
        news_cold.newcomers(events, {}, topics, [1.0], k=5, n_panel=5, seed=0)


def test_a_drawn_fold_hides_new_articles_from_training_and_from_the_choice(events: Interactions) -> None:
    fold = news_cold.drawn_fold(events, 8, least=1000, seed=0)  # too many events asked: the most read ones serve
    new, other = fold.outer.items, fold.inner.items
    assert len(new) == len(other) == 8 and not set(new) & set(other)
    assert not fold.train.item.isin(new).any() and not fold.inner_train.item.isin([*new, *other]).any()
    with pytest.raises(Problem, match="need 80"):
        news_cold.drawn_fold(events, 20, least=1, seed=0)


def test_kinds_of_text_are_judged_on_one_fold(events: Interactions, vectors: np.ndarray) -> None:
    fold = news_cold.drawn_fold(events, 8, least=1, seed=0)
    rows = fold.outer.items
    turned = news_cold.swapped(vectors, rows, vectors[rows][:, ::-1])  # the new articles' texts name the other taste
    assert (vectors[rows] != turned[rows]).all() and (np.delete(vectors, rows, 0) == np.delete(turned, rows, 0)).all()
    table = news_cold.by_text(fold, {"own": vectors, "turned": turned}, [1.0], k=5, seed=0)
    means = news_cold.means(table, seed=0, draws=100)
    assert set(means) == {"random", "oracle", "own", "turned"} and means["own"].mean > means["turned"].mean + 0.1
    assert means["own"].mean == pytest.approx(np.average(table.own, weights=table.weight))
    with pytest.raises(Problem, match="others must be"):
        news_cold.swapped(vectors, rows, vectors[:1])


def test_unsupported_words_are_counted() -> None:
    source = "Apache Spark reads the data of 2016 from disk."
    assert news_cold.unsupported("Spark reading data in 2016.", source) == 0
    assert news_cold.unsupported("Hadoop wrote 1999.", source) == 1 and news_cold.unsupported("", source) == 0
