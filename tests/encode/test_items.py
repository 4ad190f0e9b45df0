"""Templates and cleaning: what the encoder gets to read."""

import numpy as np
import pandas as pd
import pytest

from recutils.encode.items import TEMPLATES, clean, fullest, missing, texts_of
from recutils.tables import Dataset, Interactions, Problem


def made(**columns) -> Dataset:
    items = pd.DataFrame(columns)
    items.insert(0, "item_id", [f"i{row}" for row in range(len(items))])
    rows = pd.DataFrame({"user": [0], "item": [0], "value": [1.0]})
    return Dataset("planted", Interactions(rows, 1, len(items)), pd.DataFrame({"user_id": ["u"]}), items, explicit=True)


@pytest.fixture
def films() -> Dataset:
    year = pd.array([1995, None, 1972], dtype="Int64")
    return made(title=["Toy Story", "", "<b>Solaris</b>"], genres=["Animation, Comedy", "Drama", None], year=year)


def test_templates_put_title_genres_and_year_together(films):
    assert texts_of(films, "title") == ["Toy Story", "", "Solaris"]
    assert texts_of(films, "title+genres")[0] == "Toy Story. Genres: Animation, Comedy"
    assert texts_of(films)[0] == "Toy Story (1995). Genres: Animation, Comedy"


def test_missing_cells_leave_their_piece_and_label_out(films):
    assert texts_of(films)[1:] == ["Genres: Drama", "Solaris (1972)"]
    assert missing(films) == {"title": 1, "genres": 1, "year": 1}


def test_years_that_became_floats_are_still_years():
    assert texts_of(made(title=["Alien"], genres=["Horror"], year=[1979.0])) == ["Alien (1979). Genres: Horror"]


def test_the_table_is_not_changed(films):
    before = films.items.copy()
    texts_of(films)
    pd.testing.assert_frame_equal(films.items, before)


def test_duplicate_titles_keep_their_rows():
    assert texts_of(made(title=["Kundun", "Kundun"]), "title") == ["Kundun", "Kundun"]


def test_no_items_give_no_texts():
    empty = Dataset(
        "none",
        Interactions(pd.DataFrame({"user": [], "item": [], "value": []}), 0, 0),
        pd.DataFrame({"user_id": []}),
        pd.DataFrame({"item_id": [], "title": []}),
        explicit=True,
    )
    assert texts_of(empty, "title") == []


def test_a_template_whose_column_is_lacking_names_those_that_work():
    with pytest.raises(Problem, match=r"'title\+genres' needs the column genres.*Use one of: title\."):
        texts_of(made(title=["Mug"]), "title+genres")


def test_an_unknown_template_lists_all():
    with pytest.raises(Problem, match="no text template 'titel'.*title, title"):
        texts_of(made(title=["Mug"]), "titel")
    assert set(TEMPLATES) >= {"title", "title+genres", "title+genres+year"}


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (pd.NA, ""),
        (pd.NaT, ""),
        (" \t\n ", ""),
        ("\u200b\ufeff", ""),
        (7, "7"),
        (np.float64(1995.0), "1995"),
        (2.5, "2.5"),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("<p>one</p><p>two</p>", "one two"),
        ("To<i>y</i> <BR/>Story", "Toy Story"),
        ('<a href="x">link</a>', "link"),
        ("<script>alert('x')</script>seen<!-- not -->", "seen"),
        ("I <3 you, a < b > c <Remix>", "I <3 you, a < b > c <Remix>"),
        ("x\x00y\r\nz", "x y z"),
        ("e\u0301te\u0301", "été"),
        ("Amélie 😀 \u4f60\u597d", "Amélie 😀 \u4f60\u597d"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("broken \ud83d half", "broken half"),
    ],
)
def test_clean_by_its_stated_rules(cell, text):
    assert clean(cell) == text
    assert clean(text) == text, "cleaning twice changes nothing"


def test_the_fullest_template_is_one_that_the_data_can_fill(films):
    assert fullest(films) == "title+genres+year"
    assert fullest(made(title=["Alien"])) == "title"
    assert fullest(made(title=["Alien"], genres=["Horror"])) == "title+genres"
