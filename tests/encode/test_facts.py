"""Rules that count inventions, on texts whose faults are known."""

import pytest

from recutils.encode.facts import RULES, Given, check, copied, wrong_genres, wrong_years
from recutils.tables import Problem

GENRES = ["Crime", "Drama", "Sci-Fi", "Western", "Comedy"]
HEAT = Given("Heat (1995). Genres: Crime", 1995, ("Crime",))


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("Two men meet across a table and talk.", []),
        ("A crime story of 1995, of the 1990s.", []),
        ("", ["empty"]),
        ("A western of 1995 in the desert", ["unfinished", "wrong genre"]),
        ("It was made in 1950.", ["wrong year"]),
        ("A story set in the 1950s.", ["wrong year"]),
        ("A crime drama full of tension.", ["wrong genre"]),
        ("so sad so sad so sad so sad so sad.", ["repeats itself"]),
        ("Heat (1995). Genres: Crime.", ["copies"]),
        ("Это фильм о людях.", ["other script"]),
    ],
)
def test_each_fault_is_found_and_no_other(text: str, faults: list[str]) -> None:
    row = check([text], [HEAT], genres=GENRES).iloc[0]
    assert [rule for rule in RULES if row[rule]] == faults


def test_spelling_is_no_invention_and_unknown_fields_stay_silent() -> None:
    assert not wrong_genres("A science fiction tale.", Given("Alien", 1979, ("Sci-Fi",)), GENRES)
    assert wrong_genres("A science-fiction tale.", HEAT, GENRES) == ["Sci-Fi"]
    assert not wrong_genres("A dramatic tale.", HEAT, GENRES), "only whole words count"
    assert not wrong_genres("A western.", Given("x"), GENRES) and not wrong_years("Made in 1950.", None)
    assert not wrong_genres("A drama queen.", Given("The Drama Queen (1999)", 1999, ("Comedy",)), GENRES)


def test_numbers_that_are_no_years() -> None:
    assert wrong_years("In room 19501 lie 300 of 1995.", 1995) == []


def test_copies_are_counted_by_runs_of_three() -> None:
    assert copied("a b c d", "x a b c y") == 0.5 and copied("a b", "a b") == 0.0


def test_lengths_must_agree() -> None:
    with pytest.raises(Problem, match="each written text"):
        check(["a"], [])
