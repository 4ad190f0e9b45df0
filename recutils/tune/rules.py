"""What a language model must beat on windows: counts, means and logistic regression. No language model here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.model.content import unit_rows
from recutils.tables import ITEM, USER, VALUE, Interactions, Problem
from recutils.tune.windows import Window, labels_of

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # of logistic regression (C of scikit-learn), chosen on validation windows
Vectors = np.ndarray | sparse.csr_matrix


def shares(asked: Sequence[Window]) -> np.ndarray:
    """The share of liked films in the history, for each candidate of all windows: (n,) float64."""
    return np.repeat([window.share for window in asked], [len(window.candidates) for window in asked])


def candidates_of(asked: Sequence[Window]) -> np.ndarray:
    """The item row of each candidate of all windows: (n,) int64."""
    return np.array([film for window in asked for film in window.candidates], dtype=np.int64)


def item_means(events: Interactions, users: Iterable[int], liked: float = 4.0, weight: float = 5.0) -> np.ndarray:
    """The share of these users who liked each item, drawn towards the mean by `weight` people: (n_items,)."""
    likes, n = _likes(events, users, liked)
    return (likes + weight * likes.sum() / max(n.sum(), 1)) / (n + weight)


def popularity(events: Interactions, users: Iterable[int]) -> np.ndarray:
    """How many events of these users each item has: (n_items,)."""
    return _likes(events, users, 0.0)[1]


def _likes(events: Interactions, users: Iterable[int], liked: float) -> tuple[np.ndarray, np.ndarray]:
    rows = events.rows[events.rows[USER].isin(list(users))]
    n = np.bincount(rows[ITEM], minlength=events.n_items).astype(np.float64)
    return np.bincount(rows[ITEM], weights=rows[VALUE] >= liked, minlength=events.n_items), n


def closeness(asked: Sequence[Window], vectors: Vectors) -> np.ndarray:
    """Cosine of each candidate with the mean of the liked films, less that with the mean of the others: (n,)."""
    candidates, liked, disliked = _blocks(asked, vectors)
    return _products(candidates, liked) - _products(candidates, disliked)


def features(asked: Sequence[Window], vectors: Vectors) -> Vectors:
    """What a logistic regression reads of each candidate: (n, 3 d + 3), sparse or dense as the vectors are.

    The candidate's vector, the mean ones of liked and other films, the two cosines and the share of liked films.
    """
    blocks = _blocks(asked, vectors)
    numbers = [_products(blocks[0], blocks[1]), _products(blocks[0], blocks[2]), shares(asked)]
    if sparse.issparse(vectors):
        return sparse.csr_matrix(sparse.hstack([*blocks, sparse.csr_matrix(np.column_stack(numbers))]))
    return np.hstack([*blocks, np.column_stack(numbers)])


def _blocks(asked: Sequence[Window], vectors: Vectors) -> tuple[Vectors, Vectors, Vectors]:
    """Vectors of the candidates, of the liked and of the other films' means, all of length 1: (n, d) each."""
    sizes = [len(window.candidates) for window in asked]
    means = [unit_rows(_means([getattr(one, name) for one in asked], vectors)) for name in ("liked", "disliked")]
    liked, disliked = (mean[np.repeat(np.arange(len(asked)), sizes)] for mean in means)
    return unit_rows(vectors[candidates_of(asked)]), liked, disliked


def _means(films: Sequence[tuple[int, ...]], vectors: Vectors) -> Vectors:
    """The mean vector of each tuple of films, zeros for none."""
    rows = np.repeat(np.arange(len(films)), [len(one) for one in films])
    columns = np.array([film for one in films for film in one], dtype=np.int64)
    weights = 1.0 / np.array([len(one) for one in films for _ in one])
    return sparse.csr_matrix((weights, (rows, columns)), shape=(len(films), vectors.shape[0])) @ vectors


def _products(first: Vectors, second: Vectors) -> np.ndarray:
    """Row by row products, (n,)."""
    if sparse.issparse(first):
        return np.asarray(first.multiply(second).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", first, second)


@dataclass(frozen=True, eq=False)
class Learnt:
    """Log odds (n,) of a logistic regression, and the strength that the validation windows chose."""

    scores: np.ndarray
    strength: float


def logistic(train: Vectors, labels: np.ndarray, valid: Vectors, valid_labels: np.ndarray, asked: Vectors) -> Learnt:
    """Logistic regression on these features, scaled, with the strength of best AUC on the validation windows.

    Raises Problem when the labels are of one class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import MaxAbsScaler

    if len(np.unique(labels)) < 2:
        raise Problem(f"all {len(labels)} labels are alike; a regression needs both kinds. Take more windows.")
    scaler = MaxAbsScaler().fit(train)
    fits = {c: LogisticRegression(C=c, max_iter=2000).fit(scaler.transform(train), labels) for c in STRENGTHS}
    tried = {c: roc_auc_score(valid_labels, one.decision_function(scaler.transform(valid))) for c, one in fits.items()}
    best = max(tried, key=tried.get)
    return Learnt(fits[best].decision_function(scaler.transform(asked)), best)


@dataclass(frozen=True, eq=False)
class Simple:
    """Rules that learn nothing from labels. means, counts: (n_items,); vectors: (n_items, d); seed: of chance."""

    means: np.ndarray
    counts: np.ndarray
    vectors: Vectors
    seed: int = 0

    def scores(self, asked: Sequence[Window]) -> dict[str, np.ndarray]:
        """A score for each candidate of all windows, (n,), by name."""
        films = candidates_of(asked)
        return {
            "share of liked films": shares(asked),
            "item mean": self.means[films],
            "popularity": self.counts[films],
            "random": np.random.default_rng(self.seed).random(len(films)),
            "closeness": closeness(asked, self.vectors),
        }


def learnt(asked: Sequence[Window], vectors: Vectors, teach: Sequence[Window], choose: Sequence[Window]) -> Learnt:
    """A logistic regression on `features`: `teach` gives the labels, `choose` the strength, `asked` is scored."""
    train, valid, judged = (features(windows, vectors) for windows in (teach, choose, asked))
    return logistic(train, labels_of(teach), valid, labels_of(choose), judged)
