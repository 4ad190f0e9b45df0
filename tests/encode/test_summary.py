"""Extractive summaries on planted texts."""

import numpy as np
import pytest

from recutils.encode.summary import HOW, sentences, summaries, summary
from recutils.tables import Problem

TEXT = (
    "Welcome to our page about many things. Spark keeps the data in memory for speed. "
    "Because the data stay in memory, Spark has great speed. An office cat is called Tom today."
)


def test_menus_headings_and_repetitions_are_no_sentences() -> None:
    text = "* Home * Login\n\nTHIS VIDEO IS NOT AVAILABLE IN YOUR COUNTRY.\n\n" + TEXT + "\n\n" + TEXT
    assert len(sentences(text)) == 4
    assert sentences("") == sentences("Too short.") == [] and sentences("no full stop in this line of words") == []


@pytest.mark.parametrize("how", HOW)
def test_a_summary_is_made_of_the_texts_sentences_in_order(how: str) -> None:
    found, chosen = sentences(TEXT), sentences(summary(TEXT, 2, how=how))
    assert len(chosen) == 2 and [found.index(one) for one in chosen] == sorted(found.index(one) for one in chosen)
    assert summary("", 2, how=how) == "" and summary(found[0], 2, how=how) == found[0]


@pytest.mark.parametrize("how", ["centroid", "textrank"])
def test_the_common_topic_wins_over_the_first_sentence(how: str) -> None:
    assert "Spark" in summary(TEXT, 1, how=how) and "Welcome" in summary(TEXT, 1, how="lead")


def test_a_repetition_is_passed_over() -> None:
    text = "The data stay in memory for speed. The data stay in memory for great speed. A cat sleeps on the mat."
    assert "cat" in summary(text, 2)


def test_given_vectors_decide() -> None:
    vectors = np.eye(4)[[0, 1, 1, 1]] + 0.01 * np.eye(4)
    assert summary(TEXT, 1, vectors=vectors) == sentences(TEXT)[1]
    with pytest.raises(Problem, match="vectors must be those of the 4"):
        summary(TEXT, 1, vectors=np.eye(3))


def test_bad_settings_and_many_texts() -> None:
    assert summaries([TEXT, ""], 1, how="lead") == [sentences(TEXT)[0], ""]
    with pytest.raises(Problem, match="how"):
        summary(TEXT, 1, how="best")
    with pytest.raises(Problem, match="at least 1"):
        summary(TEXT, 0)
