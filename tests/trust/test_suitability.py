"""Rules before a list: nothing above the limit is shown, each block is written down, the unknown is shown to nobody."""

import numpy as np
import pytest

from recutils.tables import Problem
from recutils.trust.suitability import UNKNOWN, Profile, leak, leak_records, leaks, read_topic, suitable

RISKS = {"bonds": 1, "shares": 2, "oil": 3}
TOPICS = ["oil", "bonds", UNKNOWN, "shares", "bonds", "tulips"]
CAREFUL = Profile("careful", 1, "interest rates")


def test_only_what_the_limit_allows_is_shown_and_each_block_has_a_line() -> None:
    found = suitable(CAREFUL, [0, 2, 5, 1, 3, 4], TOPICS, RISKS, k=2, when="noon")
    assert found.shown.tolist() == [1, 4]
    assert found.audit["what"].tolist() == [0, 2, 5, 3]
    assert found.audit["rule"].tolist() == ["risk above limit", "unknown risk", "unknown risk", "risk above limit"]
    assert set(found.audit["who"]) == {"careful"} and set(found.audit["when"]) == {"noon"}
    assert "class 3 (oil), limit 1" in found.audit["detail"][0]


def test_withheld_texts_are_blocked_first_and_an_empty_list_is_an_answer() -> None:
    found = suitable(CAREFUL, [1, 4], TOPICS, RISKS, k=2, when="noon", withheld={1, 4})
    assert not len(found.shown) and found.audit["rule"].tolist() == ["text filter"] * 2
    bold = suitable(Profile("bold", 3, "oil"), range(6), TOPICS, RISKS, k=9, when="noon")
    assert bold.shown.tolist() == [0, 1, 3, 4], "the unknown is shown to nobody"


def test_odd_texts_have_no_topic() -> None:
    texts = ["", "der preis für gold steigt und die bank senkt den zins", "gold price rises in london", "hm"]
    sure = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.55, 0.45]])
    assert read_topic(texts, sure, ("a", "b"), 0.6) == [UNKNOWN, UNKNOWN, "b", UNKNOWN]


def test_leaks_are_counted_by_the_topics_that_people_gave() -> None:
    read, true = ["bonds", "bonds", "oil", UNKNOWN], ["bonds", "oil", "bonds", "oil"]
    assert leak(read, true, RISKS, 1).tolist() == [0, 1] and not leak(read, true, RISKS, 3).any()
    table = leaks({"read": read, "none": [UNKNOWN] * 4}, true, RISKS).set_index(["topic", "limit"])
    assert table.loc["read", 1].leak == 0.5 and table.loc["none", 1].through == 0
    assert np.isnan(table.loc["none", 1].leak)
    sure = leaks({"read": ["bonds"] * 8}, ["bonds"] * 8, RISKS).iloc[0]
    assert (sure.leak, sure.low) == (0, 0) and 0.3 < sure.high < 0.4, "none of eight is no certainty"
    records = leak_records(table.reset_index(), notebook="n", dataset="d", protocol="p", split="test", seed=0)
    assert {one.group for one in records} == {"read, limit 1", "read, limit 2"}


def test_bad_profiles_and_limits_are_told() -> None:
    with pytest.raises(Problem, match="empty"):
        Profile("x", 1, " ")
    with pytest.raises(Problem, match="not English"):
        Profile("x", 1, "der goldpreis und die zinsen der bank")
    with pytest.raises(Problem, match="lowest class"):
        suitable(Profile("x", 0, "oil"), [0], TOPICS, RISKS, k=1, when="noon")
    with pytest.raises(Problem, match="k >= 1"):
        suitable(CAREFUL, [0], TOPICS, RISKS, k=0, when="noon")
