"""TF-IDF: texts as weighted counts of their words, the yardstick of neural encoders. No cleaning here (items.py)."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from recutils.tables import Problem

# A run of letters and digits, single ones too ("M", "8"); Chinese characters and kana, which stand without spaces, one
# by one.
IDEOGRAPHS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = rf"[{IDEOGRAPHS}]|[^\W{IDEOGRAPHS}]+"


def tfidf(texts: Sequence[str], *, min_count: int = 1, ngrams: int = 1) -> sparse.csr_matrix:
    """Vectors (n_texts, n_words) csr float32 of length 1; an empty text has a zero row.

    min_count: leaves out words that fewer texts hold. ngrams: runs of up to so many words count as words too.
    Weights are scikit-learn's: count x (log((1 + n) / (1 + texts with the word)) + 1), lower case, no stop words.
    Raises Problem when no word is left.

    >>> tfidf(["Toy Story", "toy soldiers", ""]).toarray().round(2)
    array([[0.  , 0.8 , 0.61],
           [0.8 , 0.  , 0.61],
           [0.  , 0.  , 0.  ]], dtype=float32)
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    for name, number in (("min_count", min_count), ("ngrams", ngrams)):
        if number < 1:
            raise Problem(f"{name} must be at least 1; got {number}")
    if min_count > len(texts) or not any(text.strip() for text in texts):
        raise Problem(_nothing(len(texts), min_count))
    vectorizer = TfidfVectorizer(min_df=min_count, ngram_range=(1, ngrams), token_pattern=WORD, dtype=np.float32)
    try:
        return sparse.csr_matrix(vectorizer.fit_transform(texts))
    except ValueError as fault:  # scikit-learn's own words differ by version
        raise Problem(_nothing(len(texts), min_count)) from fault


def _nothing(n_texts: int, min_count: int) -> str:
    cure = "Check the texts' columns, or lower min_count."
    return f"no word is left of {n_texts} texts with min_count {min_count}. {cure}"
