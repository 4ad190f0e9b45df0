"""Windows of histories: nothing of the answer in the question, people whole, planted texts and counts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recutils.data.labelled import parts
from recutils.data.pairs import LIKED, Pairs, article_pairs, levels, movie_pairs, to_rank, told
from recutils.tables import Dataset, Interactions, Problem

N_USERS, N_ITEMS = 30, 40


def _made(*, explicit: bool = True, timed: bool = True) -> Dataset:
    """Each user meets 15 items; two events share each second."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(N_ITEMS)[:15] for _ in range(N_USERS)])
    rows = pd.DataFrame({"user": np.repeat(np.arange(N_USERS), 15), "item": items})
    rows["value"] = rng.integers(1, 6, size=len(rows)).astype(float) if explicit else 1.0
    if timed:
        seconds = np.tile(np.arange(15) // 2, N_USERS)
        rows["time"] = pd.Timestamp("1998-01-01") + pd.to_timedelta(seconds, unit="s")
    rows = rows.sample(frac=1.0, random_state=0)
    users = pd.DataFrame({"user_id": [f"u{n}" for n in range(N_USERS)]})
    ids = [f"i{n}" for n in range(N_ITEMS)]
    table = pd.DataFrame({"item_id": ids, "title": [f"Film {n}" for n in range(N_ITEMS)], "genres": "Drama"})
    return Dataset("made", Interactions(rows, N_USERS, N_ITEMS), users, table, explicit=explicit)


@pytest.fixture(scope="module")
def films() -> Dataset:
    return _made()


@pytest.fixture(scope="module")
def pairs(films: Dataset) -> Pairs:
    return movie_pairs(films, 120, history=4)


def test_the_candidate_is_not_in_its_history_and_all_of_it_is_earlier(films: Dataset, pairs: Pairs) -> None:
    rows = films.interactions.rows
    when = {(user, item): time for user, item, time in zip(rows.user, rows.item, rows.time, strict=True)}
    for row in range(len(pairs)):
        user, item = int(pairs.groups[row]), int(pairs.items[row])
        assert item not in pairs.before[row] and len(pairs.before[row]) == 4
        past = [when[user, int(one)] for one in pairs.before[row]]
        assert past == sorted(past) and past[-1] < when[user, item]
        assert f"Film {item}," not in f"{pairs.texts[row]},".replace(";", ",")


def test_labels_are_the_ratings_of_the_events_asked_about(films: Dataset, pairs: Pairs) -> None:
    rows = films.interactions.rows.iloc[pairs.positions]
    assert np.array_equal(pairs.labels, (rows.value >= LIKED).astype(int))
    assert np.array_equal(rows.item, pairs.items) and np.array_equal(rows.user, pairs.groups)
    five = movie_pairs(films, 120, history=4, classes=5)
    assert np.array_equal(five.positions, pairs.positions) and np.array_equal(five.labels, rows.value - 1)
    assert five.texts == pairs.texts


def test_texts_tell_the_history(pairs: Pairs) -> None:
    for row in range(5):
        liked = pairs.values[row] >= LIKED
        assert pairs.texts[row].count("Film") == 4 and ("dislikes" in pairs.texts[row]) == (~liked).any()
        assert pairs.liked_share()[row] == liked.mean()
        assert pairs.seconds[row] == f"Film {pairs.items[row]}. Genres: Drama"
    assert told(["A", "B", "C"], np.array([2, 0, 1]), np.array([5, 1, 4])) == "likes C, B; dislikes A"


def test_windows_are_spread_over_people_and_people_stay_whole(pairs: Pairs) -> None:
    assert set(np.bincount(pairs.groups, minlength=N_USERS)) == {4}
    cut = parts(pairs)
    people = [set(pairs.groups[rows]) for rows in (cut.train, cut.valid, cut.test)]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])


def test_rows_can_be_taken_and_one_seed_gives_one_draw(films: Dataset, pairs: Pairs) -> None:
    some = pairs.only(np.array([5, 2, 9]))
    assert isinstance(some, Pairs) and some.texts[1] == pairs.texts[2]
    assert [len(values) for values in (some.before, some.values, some.items, some.positions, some.groups)] == [3] * 5
    again, other = (movie_pairs(films, 120, history=4, seed=seed) for seed in (0, 1))
    assert again.texts == pairs.texts and other.texts != pairs.texts


def test_levels_by_hand() -> None:
    stars = np.array([0.5, 1, 2, 2.5, 3, 3.5, 4, 5])
    assert levels(stars, 3).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert levels(stars, 5).tolist() == [0, 0, 1, 2, 2, 3, 3, 4]


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("negatives", ["popular", "uniform"])
def test_articles_half_read_and_nothing_given_away(timed: bool, negatives: str) -> None:
    data = _made(explicit=False, timed=timed)
    found = article_pairs(data, 100, history=4, negatives=negatives)
    rows = data.interactions.rows
    met = {user: set(items) for user, items in rows.groupby("user")["item"]}
    assert found.labels.sum() == 50
    for row in range(100):
        user, item = found.groups[row], found.items[row]
        assert (item in met[user]) == bool(found.labels[row]) and item not in found.before[row]
        assert set(found.before[row]) <= met[user] and 1 <= len(found.before[row]) <= 4
        if timed and found.labels[row]:
            past = rows[(rows.user == user) & rows.item.isin(found.before[row])]
            assert past.time.max() < rows.time.iloc[found.positions[row]]


def test_popular_negatives_follow_popularity() -> None:
    """One item that nearly all readers met is the negative of the few others far more often than chance has it."""
    data = _made(explicit=False, timed=False)
    rows = data.interactions.rows
    extra = pd.DataFrame({"user": np.arange(20), "item": 0, "value": 1.0})
    rows = pd.concat([rows[(rows.item != 0)], extra]).drop_duplicates(["user", "item"])
    data = replace(data, interactions=Interactions(rows, N_USERS, N_ITEMS))
    drawn = [article_pairs(data, 60, negatives=kind) for kind in ("popular", "uniform")]
    often = [np.mean(found.items[(found.labels == 0) & (found.groups >= 20)] == 0) for found in drawn]
    assert drawn[0].notes[0].endswith("popular.") and often[0] >= often[1]


def test_what_cannot_be_asked_is_told(films: Dataset) -> None:
    for data, words in ((_made(explicit=False), "opinions"), (_made(timed=False), "times")):
        with pytest.raises(Problem, match=words):
            movie_pairs(data, 20)
    with pytest.raises(Problem, match="2, 3 or 5"):
        movie_pairs(films, 20, classes=4)
    with pytest.raises(Problem, match="windows wanted"):
        movie_pairs(films, 10_000, history=4)
    with pytest.raises(Problem, match="even"):
        article_pairs(films, 21)
    with pytest.raises(Problem, match="one of"):
        article_pairs(films, 20, negatives="clever")
    scale = films.interactions.rows.assign(value=films.interactions.rows["value"] * 20)
    with pytest.raises(Problem, match="Rescale"):
        movie_pairs(replace(films, interactions=Interactions(scale, N_USERS, N_ITEMS)), 20)


def test_lists_to_rank_hold_what_was_not_met_and_know_what_is_liked_later(films: Dataset, pairs: Pairs) -> None:
    first = pairs.only(np.unique(pairs.groups, return_index=True)[1])
    shown = np.argsort(-np.bincount(films.interactions.item, minlength=N_ITEMS), kind="stable")[:25]
    found = to_rank(films, first, shown)
    n_each = len(found) // len(first)
    rows = films.interactions.rows
    assert 2 <= n_each <= 25 and len(found) == n_each * len(first)
    for row in range(0, len(found), 7):
        person, item = found.groups[row], found.items[row]
        asked = rows.time.iloc[first.positions[row // n_each]]
        mine = rows[(rows.user == person) & (rows.item == item)]
        assert not (mine.time < asked).any() and item not in found.before[row]
        assert found.labels[row] == int((mine.value >= LIKED).any())
        assert found.texts[row] == first.texts[row // n_each]
    with pytest.raises(Problem, match="one window"):
        to_rank(films, pairs, shown)
    with pytest.raises(Problem, match="Name more"):
        to_rank(films, first, shown[:1])
