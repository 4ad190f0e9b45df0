"""Search on planted texts: words, characters, vectors, fusion, taste, and what happens without an answer."""

import numpy as np
import pytest
from scipy import sparse

from recutils.encode.index import unit
from recutils.rank.search import Dense, Lexical, Ranks, Weighted, answer, fuse_ranks, fuse_scores, personalised, ranked
from recutils.tables import Problem

TEXTS = ["red mug", "red bag", "blue mug with an owl", "green lamp", ""]
MEANING = {"red": 0, "crimson": 0, "mug": 1, "cup": 1, "bag": 2, "blue": 3, "owl": 4, "green": 5, "lamp": 6}


def encode(texts):
    """Vectors that know synonyms: one place for each meaning, zeros for what is not known."""
    vectors = np.zeros((len(texts), 7), dtype=np.float32)
    for row, text in enumerate(texts):
        for word in text.split():
            if word in MEANING:
                vectors[row, MEANING[word]] += 1
    return vectors


@pytest.fixture
def dense() -> Dense:
    return Dense(encode(TEXTS), encode)


def test_bm25_by_hand() -> None:
    index, n = Lexical(TEXTS, k1=1.2, b=0.75), 5
    idf = np.log(1 + (n - 2 + 0.5) / (2 + 0.5))  # "red" stands in two of five texts
    mean = (2 + 2 + 5 + 2 + 0) / 5
    expected = idf * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / mean))
    np.testing.assert_allclose(index.scores(["red"])[0], [expected, expected, 0, 0, 0], rtol=1e-5)


def test_bm25_saturates_and_prefers_short_texts() -> None:
    index = Lexical(["a", "a a", "a b c d e f g h", "z z z z"])
    scores = index.scores(["a"])[0]
    assert scores[0] > scores[2] > 0 == scores[3]
    without = Lexical(["a x", "a a", "z z"], k1=0).scores(["a"])[0]
    assert without[0] == pytest.approx(without[1]), "k1 = 0 counts a word once"


def test_tfidf_gives_one_for_the_same_text_and_is_the_encoders() -> None:
    from recutils.encode.tfidf import tfidf

    vectors = tfidf(TEXTS)
    scores = Lexical(TEXTS, weighting="tfidf").scores(TEXTS[:4])
    np.testing.assert_allclose(scores, (vectors[:4] @ vectors.T).toarray(), atol=1e-6)


def test_characters_survive_a_typo_and_words_do_not() -> None:
    assert not Lexical(TEXTS).scores(["grene lampp"]).any()
    assert Lexical(TEXTS, weighting="tfidf", unit="characters").scores(["grene lampp"])[0].argmax() == 3


def test_dense_knows_synonyms_and_a_floor_says_no(dense: Dense) -> None:
    assert dense.scores(["crimson cup"])[0].argmax() == 0
    strict = Dense(dense.vectors, encode, floor=0.9)
    assert (strict.scores(["crimson cup"])[0] > 0).tolist() == [True, False, False, False, False]


def test_rank_fusion_by_hand() -> None:
    fused = fuse_ranks([np.array([[3.0, 2.0, 1.0]]), np.array([[0.0, 0.0, 9.0]])])[0]
    np.testing.assert_allclose(fused, [1 / 61, 1 / 62, 1 / 63 + 1 / 61], rtol=1e-5)
    assert (fuse_ranks([np.array([[3.0, 2.0, 1.0]])], depth=1)[0] > 0).tolist() == [True, False, False]


def test_fusion_of_one_index_keeps_its_order_and_a_share_of_zero_leaves_it_out(dense: Dense) -> None:
    words, query = Lexical(TEXTS), ["red mug"]
    alone = ranked(words.scores(query), 3)
    assert np.array_equal(ranked(Ranks({"a": words}).scores(query), 3), alone)
    both = Weighted({"words": words, "dense": dense}, {"words": 1.0, "dense": 0.0})
    assert np.array_equal(ranked(both.scores(query), 3), alone)


def test_weighted_sum_asks_for_fitting_shares() -> None:
    scores = {"a": np.ones((1, 2)), "b": np.ones((1, 2))}
    for shares in ({"a": 1.0}, {"a": -1.0, "b": 2.0}, {"a": 0.0, "b": 0.0}):
        with pytest.raises(Problem, match="share"):
            fuse_scores(scores, shares)


def test_items_that_share_nothing_are_not_listed() -> None:
    assert answer(Lexical(TEXTS), ["owl"], 3).lists.tolist() == [[2, -1, -1]]


@pytest.mark.parametrize("query", ["xyz", "红楼梦", "кружка", "❤", "!!!"])
def test_a_query_without_a_hit_is_said(query: str, dense: Dense) -> None:
    popular = np.array([0, 5, 1, 9, 2])
    for index in (Lexical(TEXTS), dense, Ranks({"words": Lexical(TEXTS), "dense": dense})):
        plain, filled = answer(index, [query, "red"], 2), answer(index, [query, "red"], 2, popular=popular)
        assert plain.state.tolist() == filled.state.tolist() == ["no hit", "found"]
        assert plain.lists[0].tolist() == [-1, -1] and filled.lists[0].tolist() == [3, 1]
        assert "1 without a hit" in plain.note and "popular" in filled.note
        assert np.array_equal(plain.lists[1], filled.lists[1])


def test_an_empty_query_is_an_error_or_popular() -> None:
    with pytest.raises(Problem, match="query 1 is empty"):
        answer(Lexical(TEXTS), ["red", "  "], 2)
    told = answer(Lexical(TEXTS), ["red", "  "], 2, popular=np.arange(5))
    assert told.state.tolist() == ["found", "empty query"] and told.lists[1].tolist() == [4, 3]


def test_chinese_words_are_found() -> None:
    assert answer(Lexical(["红楼梦", "Heat"]), ["红楼"], 1).lists.tolist() == [[0]]


def test_taste_orders_answers_and_adds_none() -> None:
    answers, taste = np.array([[1.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 99.0]])
    scores = personalised(answers, taste, 1.0)
    assert scores[0].argmax() == 1 and scores[0, 2] == 0
    steep = np.array([[3.0, 1.0, 0.0]])
    assert personalised(steep, taste, 0.0)[0].argmax() == 0 and personalised(steep, taste, 5.0)[0].argmax() == 1
    assert not personalised(np.zeros((1, 3)), taste, 1.0).any()


def test_seen_items_are_left_out() -> None:
    seen = sparse.csr_matrix(np.array([[1, 0, 0]]))
    assert ranked(np.array([[3.0, 2.0, 0.0]]), 3, seen).tolist() == [[1, -1, -1]]


def test_bad_settings_are_named() -> None:
    for wrong in ({"weighting": "bm52"}, {"unit": "letters"}, {"b": 2.0}, {"k1": -1.0}):
        with pytest.raises(Problem):
            Lexical(TEXTS, **wrong)
    with pytest.raises(Problem, match="no word is left"):
        Lexical(["", "!"])
    with pytest.raises(Problem, match="one shape"):
        personalised(np.ones((1, 2)), np.ones((1, 3)), 1.0)


def test_zero_vectors_stay_zero() -> None:
    assert not unit(np.zeros((2, 3))).any()
