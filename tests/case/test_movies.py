"""Films: titles as people type them, texts joined by title and year, a family of differences, a failure that is one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recutils.case import movies
from recutils.data.join import film_keys
from recutils.evaluate.task import Task
from recutils.model.baselines import Popularity
from recutils.rank.probes import probe_users
from recutils.tables import ITEM, ITEM_ID, TITLE, USER, USER_ID, VALUE, Dataset, Interactions
from recutils.trust.filter import load_rules

FILMS = [("The Matrix", 1999), ("Les Misérables", 1995), ("Les Misérables", 1998), ("Casino", 1995), ("Titanic", 1997)]


@pytest.fixture
def films() -> Dataset:
    rows = pd.DataFrame({USER: [0, 0, 1, 1, 2], ITEM: [0, 1, 0, 3, 4], VALUE: [5.0, 3.0, 4.0, 2.0, 1.0]})
    items = pd.DataFrame(
        {ITEM_ID: [f"f{n}" for n in range(5)], TITLE: [t for t, _ in FILMS], "year": [y for _, y in FILMS]}
    )
    return Dataset("films", Interactions(rows, 3, 5), pd.DataFrame({USER_ID: ["a", "b", "c"]}), items, True)


@pytest.mark.parametrize("text", ["Matrix, The", "the MATRIX", "The Matrix (1999)", " matrix, the (1999) "])
def test_a_title_is_known_however_it_is_typed(films, text):
    found = movies.typed([text], films)
    assert found.found == ("The Matrix",) and found.history.indices.tolist() == [0]


def test_a_name_of_two_films_is_asked_about(films):
    found = movies.typed(["les miserables"], films)
    assert found.found == () and found.unclear == {"les miserables": ("Les Misérables (1995)", "Les Misérables (1998)")}
    assert movies.typed(["Les Miserables (1998)"], films).history.indices.tolist() == [2]


def test_unknown_titles_get_near_ones_and_nothing_is_guessed(films):
    found = movies.typed(["Titanik", "Der mit dem Wolf tanzt", "", "The Matrix (2003)"], films)
    assert found.history.nnz == 0 and found.unknown["Titanik"] == ("Titanic (1997)",)
    assert found.unknown["Der mit dem Wolf tanzt"] == () and found.unknown[""] == ()
    assert found.unknown["The Matrix (2003)"] == ("The Matrix (1999)",)


def test_a_title_typed_twice_counts_once(films):
    assert movies.typed(["Casino", "casino"], films).history.toarray().tolist() == [[0, 0, 0, 1, 0]]


def test_texts_stay_with_their_films(films):
    keys = film_keys(films.items)
    texts = pd.Series(["on Titanic", "on The Matrix"], index=keys[[4, 0]])
    part, found = movies.with_texts(films, texts)
    assert dict(zip(part.items[TITLE], found, strict=True)) == {"The Matrix": "on The Matrix", "Titanic": "on Titanic"}
    assert len(part.interactions) == 3


def test_a_quick_run_keeps_the_most_rated_films(films):
    assert movies.most_rated(films, 2).items[TITLE].tolist() == ["The Matrix", "Les Misérables"]
    assert len(movies.most_rated(films, 0).items) == 4, "all that anybody rated"


def test_plots_are_found_by_title_and_year_and_empty_ones_left_out(films):
    told = replace(films, items=films.items.assign(plot=["on machines", "", "on bread", "", ""]))
    assert movies.plots_of(told).to_dict() == {
        ("the matrix", 1999): "on machines",
        ("les miserables", 1998): "on bread",
    }


def test_films_with_a_text_but_no_rating_take_no_part(films):
    part, found = movies.with_texts(films, pd.Series(["x", "y"], index=film_keys(films.items)[[2, 3]]))
    assert part.items[TITLE].tolist() == ["Casino"] and found == ["y"]


def test_a_miss_is_a_person_whom_the_simple_list_served():
    values = {"hybrid": np.array([0.0, 0.5, 0.0, 0.0]), "plain": np.array([0.2, 0.9, 0.0, 0.6])}
    assert movies.misses(values, "hybrid", "plain").tolist() == [3, 0]


def test_the_example_shows_what_was_before_shown_and_next(films):
    histories, truth = films.interactions.matrix(), Interactions(
        pd.DataFrame({USER: [0], ITEM: [4], VALUE: [1.0]}), 3, 5).matrix("binary")  # fmt: skip
    rules = Task("films", "H", "x", "test", 2, np.array([0]), histories[[0]], truth[[0]], "known users")
    table = movies.example(rules, Popularity().fit(films.interactions), 0, films, k=2)
    assert table.to_numpy().tolist() == [["The Matrix", "Casino", "Titanic"], ["Les Misérables", "Titanic", ""]]


def test_harmful_and_foreign_words_have_stated_answers(films):
    words = ["the matrix", "how to make a bomb", "les miserables", "Der mit dem Wolf tanzt", "casino", "Titanik"]
    said = dict(movies.answers(words, films, load_rules()).to_numpy().tolist())
    assert said["the matrix"] == "found" and said["how to make a bomb"].startswith("not answered (block")
    assert said["les miserables"].startswith("which one?") and said["casino"].startswith("not answered (review")
    assert said["Der mit dem Wolf tanzt"] == "unknown; near: nothing" and "Titanic (1997)" in said["Titanik"]


def test_probe_lists_hold_nothing_that_waits_for_a_reader(films):
    table, kept = movies.seen(
        Popularity().fit(films.interactions), probe_users(films.interactions), films, load_rules(), 3
    )
    assert "Casino" not in set(table.film) and set(kept.audit.text) == {"Casino"} and table.why.notna().all()
