"""Cleaning: planted tables with answers worked out on paper, and the published size of the ml-1m core."""

import numpy as np
import pandas as pd
import pytest

from recutils.data import load, prepare
from recutils.tables import Dataset, Interactions, Problem


def table(user, item, value=None, time=None):
    rows = pd.DataFrame({"user": user, "item": item, "value": 1.0 if value is None else value})
    if time is not None:
        rows["time"] = pd.to_datetime(np.asarray(time), unit="s")
    return Interactions(rows, max(user) + 1, max(item) + 1)


REPEATED = table([0, 1, 0, 0], [0, 0, 0, 1], [3, 9, 5, 4], [20, 0, 10, 30])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("first", [9, 5, 4]), ("last", [3, 9, 4]), ("sum", [8, 9, 4]), ("max", [5, 9, 4])],
)
def test_duplicates_by_each_rule_and_by_time(rule, expected):
    assert prepare.drop_duplicates(REPEATED, rule).value.tolist() == expected


def test_duplicates_without_times_follow_the_file():
    timeless = Interactions(REPEATED.rows.drop(columns="time"), 2, 2)
    assert prepare.drop_duplicates(timeless, "first").value.tolist() == [3, 9, 4]
    assert prepare.drop_duplicates(timeless, "last").value.tolist() == [9, 5, 4]


def test_duplicates_error_and_unknown_rule(ratings):
    with pytest.raises(Problem, match="2 rows repeat"):
        prepare.drop_duplicates(REPEATED, "error")
    with pytest.raises(Problem, match="lats"):
        prepare.drop_duplicates(REPEATED, "lats")
    assert prepare.drop_duplicates(ratings, "error") is ratings


def test_k_core_repeats_until_nothing_changes():
    # users 0-2 and items 0-1 make a full 2-core; user 3 hangs on by item 2, which only user 3 and 4 have
    chain = table([0, 0, 1, 1, 2, 2, 3, 3, 4], [0, 1, 0, 1, 0, 1, 0, 2, 2])
    core = prepare.k_core(chain, 2)
    assert sorted(set(core.user)) == [0, 1, 2] and sorted(set(core.item)) == [0, 1]
    assert (core.n_users, core.n_items) == (5, 3)
    assert len(prepare.k_core(chain, 1, k_items=3)) == 7
    with pytest.raises(Problem, match="smaller k"):
        prepare.k_core(chain, 4)


def planted(interactions):
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(interactions.n_users)]})
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(interactions.n_items)]})
    return Dataset("planted", interactions, users, items.assign(title=items["item_id"].str.upper()), explicit=True)


def test_compact_renumbers_in_the_old_order():
    dataset = planted(table([4, 2, 2], [3, 5, 1], [1, 2, 3]))
    small = prepare.compact(dataset, dataset.interactions.only(np.array([0, 1])))
    assert small.users["user_id"].tolist() == ["u2", "u4"] and small.items["title"].tolist() == ["I3", "I5"]
    assert small.user_ids.ids(small.interactions.user).tolist() == ["u4", "u2"]
    assert small.item_ids.ids(small.interactions.item).tolist() == ["i3", "i5"]
    assert len(prepare.compact(dataset, dataset.interactions, keep_items=True).items) == 6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Matrix, The (1999)", ("The Matrix", 1999)),
        ("Net, The", ("The Net", None)),
        ("Postino, Il (The Postman) (1994)", ("Il Postino (The Postman)", 1994)),
        ("Star Maker, The (Uomo delle stelle, L') (1995)", ("The Star Maker (L'Uomo delle stelle)", 1995)),
        ("Slingshot, The (Kådisbellan ) (1993)", ("The Slingshot (Kådisbellan)", 1993)),
        ("I Love You, I Love You Not (1996)", ("I Love You, I Love You Not", 1996)),
        ("Karate Kid, Part II, The (1986)", ("The Karate Kid, Part II", 1986)),
        ("2001: A Space Odyssey (1968)", ("2001: A Space Odyssey", 1968)),
        ("1984", ("1984", None)),
        ("Land Before Time III (1995) (V)", ("Land Before Time III", 1995)),
        ("", ("", None)),
    ],
)
def test_titles(text, expected):
    assert prepare.normal_title(text) == expected


def test_title_keys_join_two_ways_of_writing():
    for one, other in [
        ("Matrix, The (1999)", "the matrix"),
        ("Misérables, Les", "Les Miserables"),
        ("Fast & Furious", "Fast and Furious"),
        ("Ocean's Eleven", "oceans eleven"),
        ("Postino, Il (The Postman)", "Il Postino"),
    ]:
        assert prepare.title_key(one) == prepare.title_key(other)
    assert prepare.title_key("Alien") != prepare.title_key("Aliens")


def test_normal_titles_fill_missing_years():
    items = pd.DataFrame(
        {"title": ["Net, The (1995)", "Heat (1995)", "Alien"], "year": pd.array([None, 1996, None], "Int64")}
    )
    changed = prepare.normal_titles(items)
    assert changed["title"].tolist() == ["The Net", "Heat", "Alien"]
    assert changed["year"].tolist()[:2] == [1995, 1996] and changed["year"].isna().tolist() == [False, False, True]
    assert items["title"][0] == "Net, The (1995)"
    assert "year" not in prepare.normal_titles(items[["title"]].iloc[[2]])


def test_item_texts_leave_missing_pieces_out():
    items = pd.DataFrame(
        {
            "item_id": ["1", "2", "3", "4"],
            "title": ["Toy Story", "Who?", "", ""],
            "year": pd.array([1995, None, 1990, None], "Int64"),
            "genres": ["Animation, Comedy", "Drama", "", ""],
            "votes": [1, 2, 3, 4],
        }
    )
    assert prepare.item_texts(items) == [
        "Toy Story (1995). Genres: Animation, Comedy",
        "Who? Genres: Drama",
        "(1990)",
        "",
    ]
    assert prepare.item_texts(items, ["votes"])[0] == "Toy Story. Votes: 1"
    with pytest.raises(Problem, match="gneres"):
        prepare.item_texts(items, ["gneres"])


def test_gini_on_paper():
    assert prepare.gini(np.array([5, 5, 5])) == 0
    assert prepare.gini(np.array([0, 0, 0, 8])) == 0.75
    assert prepare.gini(np.array([1, 3])) == 0.25
    with pytest.raises(Problem, match="not all 0"):
        prepare.gini(np.zeros(3))


def test_profile_on_paper():
    dataset = planted(table([0, 0, 0, 1], [0, 1, 2, 0], [1, 2, 3, 4], [0, 0, 86400, 0]))
    values = prepare.profile(dataset).set_index("measure")["value"]
    assert values["users"] == 2 and values["items"] == 3 and values["interactions"] == 4
    assert values["density"] == pytest.approx(4 / 6) and values["median history"] == 2
    assert values["users with one interaction"] == 0.5 and values["mean value"] == 2.5
    assert values["concentration of items (Gini)"] == pytest.approx(1 / 6)
    assert (values["first event"], values["last event"]) == ("1970-01-01", "1970-01-02")
    assert values["tied times of one user"] == 0.5  # user 0 at second 0 twice; user 1 alone there
    with pytest.raises(Problem, match="no interactions"):
        prepare.profile(planted(dataset.interactions.only(np.arange(0))))


def test_profile_without_times(ratings):
    timeless = Interactions(ratings.rows.drop(columns="time"), 40, 30)
    assert prepare.profile(planted(timeless)).set_index("measure")["value"]["first event"] == "no times"


def test_profile_of_ml_100k():
    values = prepare.profile(load.load("ml-100k")).set_index("measure")["value"]
    assert values["density"] == pytest.approx(100_000 / (943 * 1_682))
    assert values["median history"] == 65 and values["users with one interaction"] == 0
    assert (values["first event"], values["last event"]) == ("1997-09-20", "1998-04-22")


@pytest.mark.published
def test_ml_1m_core_of_p4():
    """RecBole's general recommendation data: ratings >= 3, 10-core: 834,449 interactions, 6,033 users, 3,123 items."""
    dataset = load.load("ml-1m")
    core = prepare.k_core(dataset.interactions.only(dataset.interactions.value >= 3), 10)
    small = prepare.compact(dataset, core)
    assert (len(small.interactions), len(small.users), len(small.items)) == (834_449, 6_033, 3_123)
