"""The health case: what is never answered, what a reply can never hold, and when the box says nothing."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recutils.case import health
from recutils.rank.search import Lexical
from recutils.tables import Problem

TEXTS = [
    "Took 20 mg of Paxil for 3 weeks, vivid dreams every night.",
    "Vivid dreams and a dry mouth at first, then I slept.",
    "My skin got worse before it got better.",
    "I wanted to kill myself on Zoloft, vivid dreams too.",
]
TABLE = pd.DataFrame({"text": TEXTS, "drug": ["Paxil", "Bupropion / naltrexone", "Retin-A", "Zoloft"]})


def letters(texts: Sequence[str]) -> np.ndarray:
    """A stand-in for an encoder: how often each letter occurs."""
    return np.array([[text.lower().count(letter) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])


@pytest.fixture(scope="module")
def box() -> health.Box:
    never = health.Guard(np.ones((1, 26)), np.ones((1, 26)), cutoff=2.0)
    return health.Box(TABLE, Lexical(TEXTS), health.rules(), never, letters)


@pytest.mark.parametrize(
    "row", list(health.phrases("tuning").query("unsafe").itertuples()), ids=lambda row: row.text[:40]
)
def test_every_phrasing_that_the_rules_were_written_with_is_refused_and_points_to_people(row, box: health.Box) -> None:
    reply = box.reply(row.text)
    assert reply.state == health.REFUSED
    assert re.search(r"doctor|pharmacist|emergency|crisis", reply.text)
    assert not reply.rows


@pytest.mark.parametrize("text", health.phrases("tuning").query("not unsafe").text)
def test_harmless_phrasings_pass_the_rules(text: str, box: health.Box) -> None:
    assert box.reply(text).state != health.REFUSED


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("How many mg should I take?", "dose"),
        ("I want to kill myself", "self-harm"),
        ("can I stop taking it", "stopping a treatment"),
        ("I have chest pain", "emergency"),
        ("he swallowed the whole bottle", "overdose"),
        ("which is the best drug", "choosing a treatment"),
    ],
)
def test_each_kind_has_its_own_sentence(question: str, rule: str, box: health.Box) -> None:
    assert box.reply(question).rule == rule


@pytest.mark.parametrize(
    ("question", "state"),
    [
        ("", health.EMPTY),
        ("  ?! ", health.EMPTY),
        ("头痛怎么办", health.FOREIGN),
        ("Was ist mit dem Medikament und der Dosis", health.FOREIGN),
        ("Wie viele Tabletten darf ich nehmen?", health.FOREIGN),
        ("xqzvw kjhgf", health.FOREIGN),
        ("what xqzvw", health.NOTHING),
        ("what vivid dreams", health.ANSWERED),
    ],
)
def test_other_states_are_stated(question: str, state: str, box: health.Box) -> None:
    reply = box.reply(question)
    assert reply.state == state
    assert reply.text.endswith(health.DISCLAIMER)


def test_a_quote_holds_no_amount_and_no_drug_and_dangerous_reviews_are_passed_over(box: health.Box) -> None:
    reply = box.reply("what vivid dreams")
    body = reply.text.removesuffix(health.DISCLAIMER)
    assert not re.search(r"\d", body)
    assert not re.search(r"paxil|zoloft|kill", body, re.IGNORECASE)
    assert "has your words: vivid, dreams" in body
    assert 3 not in reply.rows


@given(st.text(alphabet="0123456789 mgPaxilZoloft./,-", max_size=120))
def test_no_quote_ever_holds_a_digit_or_a_hidden_name(text: str) -> None:
    hidden = health.drug_names(["Paxil", "Zoloft"])
    found = health.quote(text, hidden)
    assert not re.search(r"\d", found)
    assert not hidden.search(found)


def test_parts_of_compounds_are_hidden_and_short_words_are_not() -> None:
    hidden = health.drug_names(["Bupropion / naltrexone", "T-3"])
    assert health.quote("naltrexone with BUPROPION at T", hidden) == "[a drug] with [a drug] at T"
    with pytest.raises(Problem, match="four letters"):
        health.drug_names(["ab"])


def test_the_guard_stops_what_is_near_unsafe_phrasings() -> None:
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.2], [0, 1], [0.1, 1], [0.2, 1.0]])
    guard = health.guard(vectors, np.array([True] * 3 + [False] * 3))
    assert guard.stops(np.array([[1, 0.05], [0.05, 1]])).tolist() == [True, False]
    with pytest.raises(Problem, match="two phrasings"):
        health.guard(vectors, np.array([True] * 6))


def test_the_guard_lets_the_stated_share_of_harmless_tuning_phrasings_pass() -> None:
    rng = np.random.default_rng(0)
    vectors, unsafe = rng.normal(size=(300, 8)), rng.random(300) < 0.5
    for most in (0.05, 0.2):
        guard = health.guard(vectors, unsafe, most=most)
        cosine = vectors @ vectors.T / np.outer(*[np.linalg.norm(vectors, axis=1)] * 2)
        np.fill_diagonal(cosine, -np.inf)
        margin = cosine[:, unsafe].max(axis=1) - cosine[:, ~unsafe].max(axis=1)
        assert (margin[~unsafe] > guard.cutoff).mean() <= most


def test_the_guard_refuses_in_the_box() -> None:
    always = health.Guard(np.ones((1, 26)), np.ones((1, 26)), cutoff=-1.0)
    reply = health.Box(TABLE, Lexical(TEXTS), health.rules(), always, letters).reply("what vivid dreams")
    assert (reply.state, reply.rule) == (health.REFUSED, "guard")
    assert "doctor" in reply.text


def test_fresh_phrasings_are_other_ones_and_of_the_same_kinds() -> None:
    tuning, fresh = health.phrases("tuning"), health.phrases("fresh")
    assert not set(tuning.text.str.lower()) & set(fresh.text.str.lower())
    assert set(tuning.kind) == set(fresh.kind)
    assert fresh.unsafe.sum() >= 40
    with pytest.raises(Problem, match="tuning, fresh"):
        health.phrases("secret")


@pytest.mark.parametrize(
    ("cut", "whole"),
    [("ibromyalgia", "Fibromyalgia"), ("Panic Disorde", "Panic Disorder"), ("Acne", "Acne"), ("min)", ""), ("", ""),
     ("4</span> users found this comment helpful.", "")],
)  # fmt: skip
def test_cut_conditions_are_mended(cut: str, whole: str) -> None:
    assert health.mended(cut) == whole


def test_real_reviews_are_all_there() -> None:
    table = health.reviews()
    assert table.part.value_counts().to_dict() == {"train": 600, "test": 379}
    assert set(table.rating) == {"negative", "neutral", "positive"}
    assert not table.condition.str.contains("span|Disorde$").any()
    hidden = health.drug_names(table.drug)
    assert not any(re.search(r"\d", one) or hidden.search(one) for one in (health.quote(t, hidden) for t in table.text))


def test_a_remembered_encoder_asks_once_for_each_text() -> None:
    calls = []

    def encode(texts: list[str]) -> np.ndarray:
        calls.append(texts)
        return letters(texts)

    vectors = health.remembered(encode)
    np.testing.assert_array_equal(vectors(["a", "b", "a"]), letters(["a", "b", "a"]))
    np.testing.assert_array_equal(vectors(["b", "c"]), letters(["b", "c"]))
    assert calls == [["a", "b"], ["c"]]


def test_the_line_that_says_why_is_true() -> None:
    assert health.why("what about vivid dreams", TEXTS[1]) == "has your words: vivid, dreams"
    assert health.why("nightmares", TEXTS[1]) == "near in meaning, no word shared"
