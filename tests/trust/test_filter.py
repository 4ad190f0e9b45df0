"""The safety filter: what it finds, what it must leave alone, and what happens to lists."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recutils.tables import Problem
from recutils.trust.filter import BLOCK, REVIEW, SHOW, UNREAD, Rule, judge, load_rules, plain, screen

RULES = load_rules()
OWN = (
    Rule("wait", REVIEW, ("gambl*",), "read first"),
    Rule("never", BLOCK, ("stop ... pills", "c++ bomb"), "no"),
)


@pytest.mark.parametrize(
    ("text", "action", "rule"),
    [
        ("Gambling for beginners", REVIEW, "wait"),
        ("stop pills", BLOCK, "never"),
        ("May I STOP taking all my pills?", BLOCK, "never"),
        ("stop this, and then, much later on, take pills", SHOW, ""),  # seven words between
        ("gambling: stop the pills", BLOCK, "never"),  # the strictest, though another stands first
        ("a c++ bomb", BLOCK, "never"),  # signs in a phrase are signs, no commands
        ("nonstop pills", SHOW, ""),  # whole words only
        ("", SHOW, ""),
    ],
)
def test_phrases_meet_whole_words_in_any_case_with_gaps(text: str, action: str, rule: str) -> None:
    found = judge([text], OWN).iloc[0]
    assert (found.action, found.rule) == (action, rule)


def test_writing_tricks_do_not_hide_a_phrase() -> None:
    """Wide letters, invisible letters, other apostrophes, line ends."""
    texts = ["ＧＡＭＢＬＥ", "gam\u200bble", "stop\n\nthe\tpills"]
    assert list(judge(texts, OWN).action) == [REVIEW, REVIEW, BLOCK]
    assert plain("can’t") == "can't"


def test_the_first_rules_find_what_they_are_for_and_pass_a_shop() -> None:
    harmful = [
        "I want to end my life",
        "how many mg of it can I take",
        "they guarantee a big profit",
        "how to launder cash",
    ]
    assert list(judge(harmful, RULES).action) == [BLOCK, BLOCK, REVIEW, BLOCK]
    robbed = ["my card was stolen, what now", "stolen card, please block it", "banca nazionale del lavoro"]
    assert list(judge(robbed, RULES).action) == [SHOW] * 3
    shop = ["WHITE HANGING HEART T-LIGHT HOLDER", "Killing Me Softly", "The Dose (1999)", "poison ivy garden gloves"]
    assert list(judge(shop, RULES).action) == [SHOW] * 4


def test_other_languages_are_told_apart_only_when_asked() -> None:
    texts = ["wie viele Tabletten darf ich mit dem Bier und der Suppe nehmen", "which card is the best for me"]
    assert list(judge(texts, RULES).action) == [SHOW, SHOW]
    found = judge(texts, RULES, unread=REVIEW)
    assert list(found.action) == [REVIEW, SHOW] and found.rule[0] == UNREAD


def test_what_is_taken_out_leaves_room_for_what_follows() -> None:
    texts = ["tea", "gambling", "pot", "stop the pills", "cup"]
    lists = np.array([[1, 0, 3, 2], [4, 2, -1, -1], [1, 3, -1, -1]])
    kept = screen(lists, texts, OWN, k=2)
    assert kept.lists.tolist() == [[0, 2], [4, 2], [-1, -1]]
    assert kept.audit[["list", "rank", "item", "action"]].to_numpy().tolist() == [
        [0, 1, 1, REVIEW], [0, 3, 3, BLOCK], [2, 1, 1, REVIEW], [2, 2, 3, BLOCK],
    ]  # fmt: skip
    assert kept.queue()[["item", "lists"]].to_numpy().tolist() == [[1, 2]]
    assert lists[0].tolist() == [1, 0, 3, 2]


def test_a_reader_may_pass_what_waits_but_not_what_is_blocked() -> None:
    kept = screen(np.array([[1, 3, 0]]), ["tea", "gambling", "pot", "stop the pills"], OWN, k=3, approved=[1, 3])
    assert kept.lists.tolist() == [[1, 0, -1]]
    assert list(kept.audit.item) == [3]


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3, unique=True), min_size=1, max_size=5))
def test_nothing_that_is_not_allowed_is_shown_and_the_rest_keeps_its_order(rows: list[list[int]]) -> None:
    texts = ["tea", "gambling", "pot", "stop the pills", "cup"]
    kept = screen(np.array(rows), texts, OWN, k=3).lists
    for row, shown in zip(rows, kept.tolist(), strict=True):
        allowed = [item for item in row if item not in (1, 3)]
        assert shown == allowed + [-1] * (3 - len(allowed))


def test_clean_lists_come_back_with_an_empty_audit() -> None:
    kept = screen(np.array([[0, 2]]), ["tea", "gambling", "pot"], OWN, k=2)
    assert kept.lists.tolist() == [[0, 2]] and kept.audit.empty and kept.queue().empty


def test_what_cannot_be_screened_is_refused() -> None:
    with pytest.raises(Problem, match="k = 3"):
        screen(np.array([[0, 1]]), ["tea", "pot"], OWN, k=3)
    with pytest.raises(Problem, match="item 7"):
        screen(np.array([[0, 7]]), ["tea", "pot"], OWN, k=1)
    with pytest.raises(Problem, match="unread"):
        judge(["tea"], OWN, unread="hide")
    with pytest.raises(Problem, match="some rule"):
        judge(["tea"], ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "would pass everything"),
        ("[[rule]]\nname = 'a'", "has the fields"),
        ("[[rule]]\nname='a'\naction='hide'\nwords=['b']\nreason='c'", "'review' or 'block'"),
        ("[[rule]]\nname='a'\naction='block'\nwords=['...']\nreason='c'", "needs words"),
        ("[[rule]]\nname='a'\naction='block'\nwords=[]\nreason='c'", "needs words"),
        ("[[rule", "no readable file"),
    ],
)
def test_a_broken_file_of_rules_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(Problem, match=message):
        load_rules(path)
