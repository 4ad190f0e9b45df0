"""Rules without words that a tuned encoder must beat on pairs of a history and an item, and blends. No network here."""

import numpy as np
from scipy import sparse

from recutils.data.pairs import Pairs
from recutils.tables import Interactions, Problem

LEAST_SLOPE = 1e-3  # of a rule's number in standard deviations: keeps the order, says next to nothing


def by_numbers(train: np.ndarray, labels: np.ndarray, asked: np.ndarray, *, n_classes: int = 2) -> np.ndarray:
    """Probabilities (m, n_classes) from a few numbers a row by logistic regression. train: (n, p), asked: (m, p).

    Columns are put on one scale, those of the training rows. With two classes a larger number must speak for the second
    class: such a rule is known beforehand and few labels may not turn it round; slopes below LEAST_SLOPE are set to it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    chain.fit(np.asarray(train), labels)
    last = chain[-1]
    if n_classes == 2 and (last.coef_ < LEAST_SLOPE).any():
        share = np.mean(labels)
        last.coef_ = np.maximum(last.coef_, LEAST_SLOPE)
        last.intercept_ = np.array([np.log(share / (1 - share))])
    found = np.zeros((len(asked), n_classes))
    found[:, chain.classes_] = chain.predict_proba(np.asarray(asked))
    return found


def item_means(found: Interactions, users: np.ndarray, damping: float = 5.0) -> np.ndarray:
    """Mean value of each item (n_items,) among these users' events, pulled to the mean of all as if by `damping` more.

    users: the rows of people who may be learnt from; give those of the training part only.
    """
    kept = np.isin(found.user.to_numpy(), users)
    if not kept.any():
        raise Problem("none of these users has an event; give rows of people of the training part.")
    items, values = found.item.to_numpy()[kept], found.value.to_numpy()[kept].astype(np.float64)
    counts, sums = np.bincount(items, minlength=found.n_items), np.bincount(items, values, minlength=found.n_items)
    return (sums + damping * values.mean()) / (counts + damping)


def item_counts(found: Interactions, users: np.ndarray) -> np.ndarray:
    """How many of these users' events each item has, (n_items,)."""
    return np.bincount(found.item.to_numpy()[np.isin(found.user.to_numpy(), users)], minlength=found.n_items)


def likeness(pairs: Pairs, vectors: np.ndarray | sparse.csr_matrix) -> np.ndarray:
    """The cosine (n,) between each item asked about and the mean of its window's history.

    vectors: (n_items, d), rows of length 1 or 0.
    """
    rows = np.repeat(np.arange(len(pairs)), [len(past) for past in pairs.before])
    weight = sparse.csr_matrix(
        (np.ones(len(rows)), (rows, np.concatenate(pairs.before))), shape=(len(pairs), vectors.shape[0])
    )
    people = weight @ vectors
    asked = vectors[pairs.items]
    if sparse.issparse(people):
        products = np.asarray(people.multiply(asked).sum(axis=1)).ravel()
        lengths = np.sqrt(np.asarray(people.multiply(people).sum(axis=1)).ravel())
    else:
        products, lengths = np.einsum("nd,nd->n", people, asked), np.linalg.norm(people, axis=1)
    return np.divide(products, lengths, out=np.zeros(len(pairs)), where=lengths > 0)


def blended(*tables: np.ndarray) -> np.ndarray:
    """Probabilities (n, n_classes) from the mean of the models' log probabilities, brought back to sum 1.

    For two classes: the mean of the log odds. Nothing is fitted.
    """
    mean = np.mean([np.log(np.maximum(table, 1e-12)) for table in tables], axis=0)
    raised = np.exp(mean - mean.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
