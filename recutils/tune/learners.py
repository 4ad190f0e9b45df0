"""More rules that learn from few labelled places of a pool: counted words, the nearest class centre. See few.py."""

from collections.abc import Sequence

import numpy as np

from recutils.tune.few import Learner


def word_learner(texts: Sequence[str], n_pool: int, strength: float, *, n_classes: int = 2) -> Learner:
    """Logistic regression over counted words and pairs of words (TF-IDF), for texts whose first n_pool are the pool.

    Words and their weights are counted on the pool's texts, for which no label is needed; the other texts are only
    asked. Words of a single text are left out. strength: C, larger fits closer.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    counted = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True).fit(texts[:n_pool])
    words = counted.transform(texts)

    def learn(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
        used = np.unique(words[places].indices)  # a word that no label was given for keeps the weight 0 anyway
        made = LogisticRegression(C=strength, max_iter=300).fit(words[places][:, used], labels)
        found = np.zeros((words.shape[0], n_classes))
        found[:, made.classes_] = made.predict_proba(words[:, used])
        return found

    return learn


def centre_learner(vectors: np.ndarray, *, n_classes: int = 2) -> Learner:
    """The class whose mean vector is nearest by cosine: no regression and no strength. vectors: (n, d).

    What stands for chances are cosines, brought to sum 1 by a softmax of 20 x the cosine: good for an order, not to be
    read as probabilities.
    """
    rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)

    def learn(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
        found, known = np.zeros((len(rows), n_classes)), np.unique(labels)
        centres = np.stack([rows[places[labels == label]].mean(axis=0) for label in known])
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        raised = np.exp(20 * (rows @ centres.T).astype(np.float64))
        found[:, known] = raised / raised.sum(axis=1, keepdims=True)
        return found

    return learn
