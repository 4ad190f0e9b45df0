"""Joining films to tmdb-5000: on hand-made tables, and the real counts."""

import pandas as pd
import pytest

from recutils.data import join, load
from recutils.tables import Dataset, Interactions, Problem

FILMS = """title,release_date,overview,vote_count
The Matrix,1999-03-30, A hacker. ,9
Twin,2000-01-01,One twin,1
Twin,2000-05-05,Other twin,1
Les Misérables,1998-05-01,,3
No Year,,Lost,2
"""


def films(titles, years):
    items = pd.DataFrame({"item_id": [f"i{n}" for n in range(len(titles))], "title": titles, "year": years})
    rows = pd.DataFrame({"user": [0, 0], "item": [0, 1], "value": 1.0})
    made = Interactions(rows, 1, len(items))
    return Dataset("made", made, pd.DataFrame({"user_id": ["u"]}), items.astype({"year": "Int64"}), True)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "movies.csv").write_text(FILMS, encoding="utf-8")
    return tmp_path


def test_articles_accents_and_years_decide(folder):
    made = films(["Matrix, The", "matrix", "Miserables, Les (1998)", "Twin", "No Year"], [1999, 1998, None, 2000, None])
    found = join.with_plots(made, folder=folder)
    assert found.items["plot"].tolist() == ["A hacker.", "", "", "", ""]
    assert found.items["joined"].tolist() == [True, False, True, False, False], "a year off, a twin, no year: no join"
    assert found.items["later_votes"].tolist() == [9, 0, 3, 0, 0]
    assert "2 items of 5 join tmdb-5000; they hold 50% of the events." in found.notes
    assert "plot" not in made.items


def test_what_are_no_films_is_refused(folder):
    with pytest.raises(Problem, match="no item joins tmdb-5000"):
        join.with_plots(films(["Lamp", "Card"], [None, None]), folder=folder)
    (folder / "movies.csv").write_text("title,vote_count\nA,1\n", encoding="utf-8")
    with pytest.raises(Problem, match="release_date"):
        join.with_plots(films(["Lamp", "Card"], [None, None]), folder=folder)


def test_the_join_of_ml_1m():
    found = join.with_plots(load.load("ml-1m"))
    assert (int(found.items["joined"].sum()), int((found.items["plot"] != "").sum())) == (1_055, 1_055)
    assert 0.55 < found.items["joined"].to_numpy()[found.interactions.item].mean() < 0.57
    matrix = found.items[found.items["item_id"] == "Matrix, The (1999)"].iloc[0]
    assert matrix["joined"] and "hacker" in matrix["plot"]
