"""Small words and plurals: what a word search may forget, and what it must keep."""

import numpy as np
import pytest

from recutils.rank.search import Lexical
from recutils.rank.words import SMALL, PlainWords, plain_words
from recutils.tables import Problem


@pytest.mark.parametrize(
    ("text", "plain"),
    [("SET OF 3 CAKE TINS", "set cake tin"), ("ladies' glasses", "lady glass"), ("cactus dress", "cactus dress"),
     ("bus", "bus"), ("cherries, dishes & benches", "cherry dish bench"), ("12 PENS", "12 pen"),
     ("", ""), ("for me and you", "")],
)  # fmt: skip
def test_plain_words(text, plain):
    assert plain_words(text) == plain


def test_plain_words_of_plain_words_change_nothing():
    text = "something to keep the boxes of glasses of my ladies in, not red ones"
    assert plain_words(plain_words(text)) == plain_words(text)


def test_no_word_for_a_thing_is_small():
    assert not SMALL & {"fire", "bottom", "top", "side", "mug", "small", "large", "black", "baby"}


def test_plurals_meet_and_small_words_do_not_answer():
    titles = ["RED MUG", "TO THE KITCHEN", "BLUE BOWLS"]
    found = PlainWords.over(titles).scores(["mugs", "to the bowl", "to the"])
    assert found[0].argmax() == 0 and found[1].argmax() == 2 and found[1, 1] == 0
    assert not found[2].any(), "small words alone answer nothing"
    assert Lexical(titles).scores(["to the"])[0].argmax() == 1, "without the list they do"


def test_the_queries_are_not_changed_and_order_is_kept():
    queries = ["bowls", "mug"]
    found = PlainWords.over(["red mug", "blue bowl"]).scores(queries)
    assert queries == ["bowls", "mug"] and np.argmax(found, axis=1).tolist() == [1, 0]


def test_texts_of_small_words_alone_are_refused():
    with pytest.raises(Problem, match="no word"):
        PlainWords.over(["of the", "for me"])
