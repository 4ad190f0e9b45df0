"""What a tuned encoder must beat on labelled texts: the classes' shares, and counted words. No network here."""

from collections.abc import Sequence

import numpy as np


def majority(train_labels: np.ndarray, n: int, n_classes: int) -> np.ndarray:
    """The trivial rule: the classes' shares among the training labels, for each of n rows."""
    shares = np.bincount(train_labels, minlength=n_classes) / len(train_labels)
    return np.tile(shares, (n, 1))


def counted_words(
    texts: Sequence[str], labels: np.ndarray, asked: Sequence[str], *, n_classes: int = 2, cuts: int = 5
) -> np.ndarray:
    """The linear baseline: TF-IDF of words and pairs of words, logistic regression; probabilities (n, n_classes).

    Its strength (C of .1 to 100) is chosen by cross-validation among the training rows alone.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    counted = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    least = int(np.bincount(labels)[np.bincount(labels) > 0].min())
    chain = make_pipeline(counted, LogisticRegression(C=10.0, max_iter=2000))
    if least >= 2:
        folds = StratifiedKFold(min(cuts, least), shuffle=True, random_state=0)
        grid = {"logisticregression__C": [0.1, 1.0, 10.0, 100.0]}
        chain = GridSearchCV(chain, grid, scoring="neg_log_loss", cv=folds)
    chain.fit(list(texts), labels)
    found = np.zeros((len(asked), n_classes))
    found[:, chain.classes_] = chain.predict_proba(list(asked))
    return found
