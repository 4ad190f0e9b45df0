"""Windows as text: the wordings, solved cases, and titles that are missing."""

import pytest

from recutils.tables import Problem
from recutils.tune.prompts import NONE, WORDINGS, beginning, examples, next_titles, pairs, questions, wording
from recutils.tune.windows import Window

TITLES = ["Alien", "Brazil", "Casino", "", "{odd}"]
ONE = Window(7, (0, 1), (True, False), (2, 4), (True, False))


def test_verdicts_stand_in_order_with_their_answers() -> None:
    words = wording("verdicts")
    begin, asks = questions([ONE], TITLES, words)[0]
    assert begin.endswith("Alien: Yes\nBrazil: No\n") and asks == ["Casino:", "{odd}:"]


@pytest.mark.parametrize("name", WORDINGS)
def test_every_wording_tells_the_films_and_asks_for_the_candidate(name) -> None:
    words = wording(name)
    begin = beginning(ONE, TITLES, words)
    assert "Alien" in begin and "Brazil" in begin and "Casino" not in begin
    for texts in (questions, next_titles):
        told, endings = texts([ONE], TITLES, words)[0]
        assert told == begin and ["Casino" in endings[0], "{odd}" in endings[1]] == [True, True]
    _, (straight, turned) = pairs([ONE], TITLES, words)[0]
    assert straight.index("Casino") < straight.index("{odd}") and turned.index("Casino") > turned.index("{odd}")
    solved = examples([ONE, ONE], TITLES, words)
    assert solved.count(begin) == 2 and solved.count("Casino") == 2 and solved.endswith(words.yes + words.done)


def test_an_empty_list_is_called_so() -> None:
    nobody = Window(7, (0,), (True,), (2,), (True,))
    assert f"not like: {NONE}." in beginning(nobody, TITLES, wording("lists"))


def test_wrong_names_and_missing_titles_are_refused() -> None:
    with pytest.raises(Problem, match="expected one of verdicts"):
        wording("poem")
    with pytest.raises(Problem, match="film 3 has an empty title"):
        questions([Window(0, (0,), (True,), (3,), (True,))], TITLES, wording("lists"))
    with pytest.raises(Problem, match="film 9 has no title"):
        questions([Window(0, (9,), (True,), (2,), (True,))], TITLES, wording("lists"))
    with pytest.raises(Problem, match="one candidate"):
        pairs([ONE.first(1)], TITLES, wording("lists"))
