"""Made queries: what they keep, what they change, and that the right answer goes with them."""

import numpy as np
import pytest
from scipy import sparse

from recutils.rank import queries
from recutils.tables import Problem

RNG = np.random.default_rng


def test_half_keeps_half_in_order() -> None:
    for seed in range(20):
        kept = queries.half("one two three four five", RNG(seed)).split()
        places = ["one two three four five".split().index(word) for word in kept]
        assert len(kept) == 3 and places == sorted(places)
    assert queries.half("alone", RNG(0)) == "alone"


def test_a_typo_changes_each_long_word_by_one_slip() -> None:
    changed = 0
    for seed in range(50):
        first, second = queries.typos("red lantern", RNG(seed)).split()
        assert first == "red" and abs(len(second) - 7) <= 1
        changed += second != "lantern"
    assert changed >= 45  # a letter may be replaced by itself


def test_the_dictionary_asks_for_the_same_words_in_each_language() -> None:
    assert queries.translated("RED  Lantern, new") == "red lantern"
    assert queries.translated("RED Lantern", "German") == "rot Laterne"
    assert queries.translated("red lantern", "Chinese") == "红色 灯笼"
    assert queries.translated("red red thing", "synonyms") == "", "two different words are needed"
    assert all(len(row) == 3 and all(row) for row in queries.DICTIONARY.values())
    with pytest.raises(Problem, match="language"):
        queries.translated("red lantern", "French")


def test_known_items_carry_their_answer_and_halves_share_none() -> None:
    texts = ["a", "", "c", "d", "e", "f"]
    made = queries.known_items(texts, np.array([5, 1, 2, 3, 0]), str, "as they are", most=4)
    assert made.texts == ("f", "c", "d", "a") and made.items.tolist() == [5, 2, 3, 0]
    assert made.truth(6).toarray().argmax(axis=1).tolist() == [5, 2, 3, 0]
    first, second = queries.halved(made)
    assert not set(first.items) & set(second.items) and len(first.texts) + len(second.texts) == 4
    with pytest.raises(Problem, match="no query"):
        queries.known_items(texts, np.array([1]), str, "nothing")
    with pytest.raises(Problem, match="too few"):
        queries.halved(first)


def test_wishes_name_what_their_answers_have() -> None:
    genres = [frozenset({"drama"}), frozenset({"drama", "war"}), frozenset({"war"}), frozenset()]
    decades = [frozenset({"1990s"})] * 2 + [frozenset({"1980s"}), frozenset()]
    truth = sparse.csr_matrix(np.array([[1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=np.float32))
    for seed in range(10):
        texts, kept = queries.wishes([genres, decades], truth, RNG(seed))
        genre, decade = texts[0].split()
        wanted = [genre in genres[item] and decade in decades[item] for item in range(4)]
        assert kept[0].toarray()[0].astype(bool).tolist() == wanted and any(wanted)
        assert texts[1:] == ["", ""] and kept[1:].nnz == 0
