"""TF-IDF on paper, and texts that are empty, foreign or odd."""

import numpy as np
import pytest
from scipy import sparse

from recutils.encode.tfidf import tfidf
from recutils.tables import Problem


def test_weights_by_hand() -> None:
    vectors = tfidf(["red red fox", "red hen"]).toarray()  # columns fox, hen, red
    rare = np.log(3 / 2) + 1
    expected = np.array([[rare, 0, 2], [0, rare, 1]])
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)


def test_rows_have_length_one_and_empty_texts_are_zero() -> None:
    vectors = tfidf(["Toy Story", "", "...", "Heat"])
    assert sparse.isspmatrix_csr(vectors) and vectors.dtype == np.float32
    np.testing.assert_allclose(sparse.linalg.norm(vectors, axis=1), [1, 0, 0, 1], rtol=1e-6)


def test_equal_texts_have_equal_rows_whatever_their_case() -> None:
    vectors = tfidf(["Heat", "HEAT", "Cold"]).toarray()
    assert np.array_equal(vectors[0], vectors[1]) and vectors[0] @ vectors[2] == 0


def test_single_letters_digits_and_ideographs_are_words() -> None:
    assert (tfidf(["M", "8", "M 8"]).toarray()[2] > 0).sum() == 2
    chinese = tfidf(["红楼梦", "红高粱", "M"]).toarray()
    assert 0 < chinese[0] @ chinese[1] < 1 and chinese[0] @ chinese[2] == 0


def test_rare_words_go_and_runs_of_words_come() -> None:
    assert tfidf(["red fox", "red hen"], min_count=2).shape == (2, 1)
    assert tfidf(["red fox", "red hen"], ngrams=2).shape == (2, 5)


@pytest.mark.parametrize("texts", [[], ["", " "], ["😀", "!"]], ids=["none", "empty", "no words"])
def test_no_word_at_all_is_named(texts: list[str]) -> None:
    with pytest.raises(Problem, match="no word is left"):
        tfidf(texts)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(Problem, match="ngrams must be at least 1"):
        tfidf(["a"], ngrams=0)
    with pytest.raises(Problem, match="lower min_count"):
        tfidf(["a", "b"], min_count=2)
    with pytest.raises(Problem, match="lower min_count"):
        tfidf(["a", "b"], min_count=3)
