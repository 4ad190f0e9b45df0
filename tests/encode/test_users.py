"""Texts of people: order, ties, gaps, and what data cannot fill."""

import numpy as np
import pandas as pd
import pytest

from recutils.encode import Encoder, encode_cached
from recutils.encode.users import USER_TEMPLATES, fillable_users, genre_mix, user_texts
from recutils.tables import Dataset, Interactions, Problem

TITLES = ["Alien", "Batman", "Clue", "Dune", "", "流浪地球"]
GENRES = ["Horror, Sci-Fi", "Action", "Comedy", "Sci-Fi", "Drama", None]


def made(rows: list[tuple[int, int, float, int]], *, time: bool = True, genres: bool = True) -> Dataset:
    """rows: user, item, value, day."""
    events = pd.DataFrame(rows, columns=["user", "item", "value", "time"])
    events["time"] = pd.to_datetime(events.time, unit="D")
    events = events if time else events.drop(columns="time")
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(len(TITLES))], "title": TITLES})
    items = items.assign(genres=GENRES) if genres else items
    users = pd.DataFrame({"user_id": ["a", "b", "c"]})
    return Dataset("planted", Interactions(events, 3, len(TITLES)), users, items, explicit=True)


EVENTS = [(0, 0, 5.0, 1), (0, 1, 2.0, 2), (0, 3, 5.0, 3), (0, 4, 5.0, 4), (0, 2, 4.0, 5), (1, 5, 3.0, 1)]


@pytest.fixture
def films() -> Dataset:
    return made(EVENTS)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("recent", "Likes Clue, Dune, Batman, Alien."),
        ("best", "Likes Dune, Alien, Clue, Batman."),  # five, five, four, two; the later of the fives first
        ("genres", "Likes Sci-Fi, Action, Comedy, Drama."),
        ("best and genres", "Likes Dune, Alien, Clue, Batman. Mostly Sci-Fi, Action, Comedy, Drama."),
    ],
)
def test_each_template_orders_as_it_says(films, template, expected):
    assert user_texts(films, films.interactions, [0], template) == [expected]


def test_dislikes_are_what_lies_far_below_the_persons_own_mean(films):
    assert user_texts(films, films.interactions, [0], "best and worst", n=2) == ["Likes Dune, Alien. Dislikes Batman."]
    level = made([(0, 0, 3.0, 1), (0, 1, 3.0, 2), (1, 2, 4.0, 3)])
    assert user_texts(level, level.interactions, [0], "best and worst") == ["Likes Batman, Alien."]


def test_no_title_stands_on_both_sides():
    both = made([(0, 0, 5.0, 1), (0, 1, 1.0, 2), (1, 2, 4.0, 3)])
    assert user_texts(both, both.interactions, [0], "best and worst") == ["Likes Alien, Batman."]


def test_n_cuts_and_untitled_items_take_no_place(films):
    assert user_texts(films, films.interactions, [0], "recent", n=2) == ["Likes Clue, Dune."]


def test_users_come_in_the_order_asked_and_strangers_get_an_empty_text(films):
    assert user_texts(films, films.interactions, [2, 1, 2], "recent") == ["", "Likes 流浪地球.", ""]
    assert user_texts(films, films.interactions, [], "recent") == []


def test_equal_times_take_the_later_row_of_the_file_first():
    tied = made([(0, 0, 5.0, 1), (0, 1, 5.0, 1)])
    assert user_texts(tied, tied.interactions, [0], "recent") == ["Likes Batman, Alien."]


def test_without_times_the_order_of_the_file_breaks_ties_and_recent_is_refused():
    timeless = made(EVENTS, time=False)
    assert user_texts(timeless, timeless.interactions, [0], "best") == ["Likes Dune, Alien, Clue, Batman."]
    with pytest.raises(Problem, match="'recent' needs times. Use one of: best, best and worst, genres"):
        user_texts(timeless, timeless.interactions, [0], "recent")


def test_what_data_lack_leaves_templates_out():
    plain = made([(0, 0, 1.0, 1), (1, 1, 1.0, 2)], genres=False)
    assert fillable_users(plain, plain.interactions) == ["recent", "best"]
    full = made(EVENTS)
    assert fillable_users(full, full.interactions) == list(USER_TEMPLATES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "bio"}, "there is no user template 'bio'; expected one of recent, best"),
        ({"n": 0}, "n must be at least 1 title; got 0"),
        ({"users": [3]}, "users must be rows 0..2; got 3..3"),
    ],
)
def test_misuse_is_named(films, options, message):
    with pytest.raises(Problem, match=message):
        user_texts(**({"dataset": films, "train": films.interactions, "users": [0]} | options))


def test_the_tables_are_not_changed(films):
    before, items = films.interactions.rows.copy(), films.items.copy()
    for template in USER_TEMPLATES:
        user_texts(films, films.interactions, [0, 1, 2], template)
    pd.testing.assert_frame_equal(before, films.interactions.rows)
    pd.testing.assert_frame_equal(items, films.items)


def test_only_titles_and_genres_reach_the_text(films):
    named = films.users.assign(user_id=["Anna", "Bela", "Cid"])
    private = Dataset("planted", films.interactions, named, films.items, explicit=True)
    texts = [text for name in USER_TEMPLATES for text in user_texts(private, films.interactions, [0, 1], name)]
    assert not any(name in text for text in texts for name in ("Anna", "Bela", "i0", "i5"))


def test_an_item_without_genres_says_nothing():
    assert genre_mix(np.array([0]), [[]]) == []


def test_an_empty_text_has_a_vector_of_zeros_and_another_script_is_counted(tiny, tmp_path, films):
    texts = user_texts(films, films.interactions, [0, 1, 2], "recent")
    found = encode_cached(Encoder(tiny), texts, root=tmp_path / "vectors")
    assert not found.vectors[2].any() and found.report.empty == 1
    assert found.vectors[1].any() and found.report.unknown > 0
