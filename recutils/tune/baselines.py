"""What a tuned encoder must beat: the classes' shares, counted words, a linear rule over vectors. No network here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

WORD_STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # C of scikit-learn's logistic regression
VECTOR_STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.1, 1.0)
CUTS = 5  # of the cross-validation that chooses among them


def majority(train_labels: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    """The trivial rule: the classes' shares among the training labels, for each of n rows."""
    shares = np.bincount(train_labels, minlength=n_classes) / len(train_labels)
    return np.tile(shares, (n, 1))


def counted_words(texts: Sequence[str], labels: np.ndarray, asked: Sequence[str], *, n_classes: int = 2) -> np.ndarray:
    """TF-IDF of words and pairs of words with logistic regression; probabilities (n_asked, n_classes).

    Its strength is chosen by cross-validation among the training rows alone.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    counted = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return _regressed(counted, (list(texts), labels, list(asked)), n_classes, WORD_STRENGTHS)


def linear(train: np.ndarray, labels: np.ndarray, asked: np.ndarray, *, n_classes: int = 2) -> np.ndarray:
    """Logistic regression on vectors (n, d), each column on one scale; probabilities (n_asked, n_classes).

    What an encoder knows without being tuned for the question. Its strength is chosen as for `counted_words`.
    """
    from sklearn.preprocessing import StandardScaler

    return _regressed(StandardScaler(), (np.asarray(train), labels, np.asarray(asked)), n_classes, VECTOR_STRENGTHS)


def _regressed(first: Any, rows: tuple[Any, np.ndarray, Any], n_classes: int, strengths: Sequence[float]) -> np.ndarray:
    """Fit the first step and a logistic regression, with the strength of least log loss over cuts of the training rows.

    Where a class has a single row there is nothing to cut; the middle strength is taken.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    train, labels, asked = rows
    chain: Any = make_pipeline(first, LogisticRegression(C=strengths[len(strengths) // 2], max_iter=2000))
    least = int(np.bincount(labels)[np.bincount(labels) > 0].min())
    if least >= 2:
        folds = StratifiedKFold(min(CUTS, least), shuffle=True, random_state=0)
        grid = {"logisticregression__C": list(strengths)}
        chain = GridSearchCV(chain, grid, scoring="neg_log_loss", cv=folds)
    chain.fit(train, labels)
    known = chain.predict_proba(asked)
    found = np.zeros((len(known), n_classes))
    found[:, chain.classes_] = known
    return found
