"""Linear heads for many classes, their strength chosen by macro-F1 on a validation part. No cross-validation here.

`baselines` chooses by log loss over cuts of the training rows, which needs several rows of each class; a newswire has
topics with one. A head answers for any number of tables later, so that a stream can be read piece by piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recutils.tables import Problem

WORDS = (1.0, 10.0, 100.0)  # C of scikit-learn's logistic regression on TF-IDF
VECTORS = (0.001, 0.01, 0.1)  # on vectors whose columns are put on one scale
Rows = tuple[Any, np.ndarray]  # texts or vectors (n, d), and their labels (n,)


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted head. strength: C. tried: C -> macro-F1 on the validation part, empty where nothing was chosen."""

    chain: Any
    n_classes: int
    strength: float
    tried: dict[float, float] = field(default_factory=dict)

    def chances(self, asked: Any) -> np.ndarray:
        """Probabilities (n, n_classes) of texts or vectors; a class without training rows has none."""
        asked = asked if isinstance(asked, np.ndarray) else list(asked)
        found = np.zeros((len(asked), self.n_classes))
        if len(asked):
            found[:, self.chain.classes_] = self.chain.predict_proba(asked)
        return found


def word_head(train: Rows, valid: Rows | None, n_classes: int, *, strengths: Sequence[float] = WORDS) -> Head:
    """TF-IDF of words and pairs of words that two training texts hold, and logistic regression.

    valid: chooses among the strengths; None takes the first. Raises Problem for labels of one class.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    counted = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return _chosen(counted, train, valid, n_classes, strengths)


def vector_head(train: Rows, valid: Rows | None, n_classes: int, *, strengths: Sequence[float] = VECTORS) -> Head:
    """Logistic regression on frozen vectors, each column on the training rows' scale; else as `word_head`."""
    from sklearn.preprocessing import StandardScaler

    return _chosen(StandardScaler(), train, valid, n_classes, strengths)


def _chosen(first: Any, train: Rows, valid: Rows | None, n_classes: int, strengths: Sequence[float]) -> Head:
    if len(np.unique(train[1])) < 2:
        raise Problem(f"all {len(train[1])} labels are alike; a head needs two classes at least. Take more rows.")
    made = {strength: _fitted(first, train, strength) for strength in strengths[: None if valid else 1]}
    if valid is None:
        return Head(next(iter(made.values())), n_classes, strengths[0])
    tried = {strength: _macro_f1(valid[1], chain.predict(valid[0])) for strength, chain in made.items()}
    best = max(tried, key=tried.__getitem__)
    return Head(made[best], n_classes, best, tried)


def _fitted(first: Any, train: Rows, strength: float) -> Any:
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(clone(first), LogisticRegression(C=strength, max_iter=500)).fit(*train)


def _macro_f1(labels: np.ndarray, answers: np.ndarray) -> float:
    """Over the classes that occur in the labels, as in evaluate/macro.py, which lies above this stage."""
    from sklearn.metrics import f1_score

    return float(f1_score(labels, answers, labels=np.unique(labels), average="macro", zero_division=0.0))
