"""Free text to items: words (BM25, TF-IDF), meaning (vectors), both fused, and a person's taste on top.

An index gives scores (n_queries, n_items), 0 where an item does not answer the query at all. How queries are made for a
test lives in queries.py, large sets of vectors in encode/index.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from recutils.encode.index import unit
from recutils.encode.tfidf import WORD
from recutils.rank.blend import standardised
from recutils.rank.top import top_k
from recutils.tables import Problem

RRF = 60  # Cormack, Clarke & Buettcher 2009: the constant that keeps the first places from ruling alone
DEPTH = 100  # places of each list that are fused
FOUND, NO_HIT, EMPTY = "found", "no hit", "empty query"


class Index(Protocol):
    """Whatever answers queries with scores."""

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_items) float32, higher is better, 0 for an item that does not answer the query."""


class Lexical:
    """What counts of shared words give. weighting "bm25" (k1, b; Robertson & Zaragoza 2009) or "tfidf" (cosine).

    unit: "word", as in encode/tfidf.py, or "characters": runs of 3 to 5 letters within words, which survive a typo.
    BM25's idf is log(1 + (n - df + .5) / (df + .5)), never negative, as in Lucene.
    """

    def __init__(
        self, texts: Sequence[str], *, weighting: str = "bm25", unit: str = "word", k1: float = 1.2, b: float = 0.75
    ) -> None:
        if weighting not in ("bm25", "tfidf") or unit not in ("word", "characters"):
            raise Problem(f"weighting is bm25 or tfidf, unit word or characters; got {weighting!r} and {unit!r}")
        if k1 < 0 or not 0 <= b <= 1:
            raise Problem(f"k1 must be 0 or more and b lie in 0..1; got {k1} and {b}")
        self.weighting, self._k1, self._b = weighting, k1, b
        self._fit(texts, _counter(unit))

    def _fit(self, texts: Sequence[str], counter: Any) -> None:
        try:
            counts = counter.fit_transform(texts).astype(np.float32)
        except ValueError as fault:
            raise Problem(f"no word is left of {len(texts)} texts; check the texts' columns.") from fault
        self._counter, n = counter, counts.shape[0]
        held = np.bincount(counts.indices, minlength=counts.shape[1])
        if self.weighting == "bm25":
            self._idf = np.log1p((n - held + 0.5) / (held + 0.5)).astype(np.float32)
            self._items = _saturated(counts, self._k1, self._b)
        else:
            self._idf = (np.log((1 + n) / (1 + held)) + 1).astype(np.float32)
            self._items = _rows_scaled(counts.multiply(self._idf).tocsr())

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_items) float32; 0 where no word is shared."""
        weighted = self._counter.transform(list(queries)).multiply(self._idf).tocsr().astype(np.float32)
        asked = weighted if self.weighting == "bm25" else _rows_scaled(weighted)
        return (asked @ self._items.T).toarray()


def _counter(unit: str) -> Any:
    from sklearn.feature_extraction.text import CountVectorizer

    if unit == "word":
        return CountVectorizer(token_pattern=WORD)
    return CountVectorizer(analyzer="char_wb", ngram_range=(3, 5))


def _saturated(counts: sparse.csr_matrix, k1: float, b: float) -> sparse.csr_matrix:
    """BM25's part of the document: a count that saturates, less in a long text."""
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    norm = k1 * (1 - b + b * lengths / max(float(lengths.mean()), 1e-9))
    data = counts.data * (k1 + 1) / (counts.data + np.repeat(norm, np.diff(counts.indptr)))
    return sparse.csr_matrix((data.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)


def _rows_scaled(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    lengths = sparse.linalg.norm(matrix, axis=1)
    return sparse.csr_matrix(sparse.diags(1 / np.where(lengths > 0, lengths, 1)) @ matrix, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Dense:
    """Cosines of an encoder's vectors. vectors: (n_items, d). encode: texts -> (n, d), zeros where it knows nothing.

    floor: cosines up to it count as no answer. Vectors answer anything, so without a floor nonsense finds items too.
    """

    vectors: np.ndarray
    encode: Callable[[Sequence[str]], np.ndarray]
    floor: float = 0.0

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_items) float32; 0 at or below the floor."""
        cosine = unit(self.encode(list(queries))) @ unit(self.vectors).T
        return np.where(np.round(cosine, 6) > self.floor, cosine, 0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Ranks:
    """Reciprocal rank fusion: an item gets 1 / (60 + place) from each index that lists it among its first hundred."""

    indexes: Mapping[str, Index]

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_items) float32."""
        return fuse_ranks([index.scores(queries) for index in self.indexes.values()])


@dataclass(frozen=True, eq=False)
class Weighted:
    """The weighted sum of standardised scores; an item that no index answers with stays 0."""

    indexes: Mapping[str, Index]
    shares: Mapping[str, float]

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """(n_queries, n_items) float32."""
        return fuse_scores({name: index.scores(queries) for name, index in self.indexes.items()}, self.shares)


def fuse_ranks(scores: Sequence[np.ndarray], *, depth: int = DEPTH, constant: float = RRF) -> np.ndarray:
    """Scores (n, n_items) by reciprocal rank fusion of several (n, n_items); 0 is no answer in both.

    >>> fuse_ranks([np.array([[3.0, 2.0, 0.0]]), np.array([[0.0, 5.0, 0.0]])]).round(3).astype(str).tolist()
    [['0.016', '0.033', '0.0']]
    """
    fused = np.zeros(scores[0].shape, dtype=np.float32)
    for one in scores:
        lists = ranked(one, min(depth, one.shape[1]))
        rows, places = np.nonzero(lists >= 0)
        fused[rows, lists[rows, places]] += (1 / (constant + 1 + places)).astype(np.float32)
    return fused


def fuse_scores(scores: Mapping[str, np.ndarray], shares: Mapping[str, float]) -> np.ndarray:
    """The weighted sum of scores standardised within each query, moved above 0; 0 where no score is above 0.

    Raises Problem when names differ, a share is negative or all are 0.
    """
    if set(scores) != set(shares) or min(shares.values()) < 0 or not sum(shares.values()) > 0:
        raise Problem(f"each of {sorted(scores)} needs a share of 0 or more, one above 0; got {dict(shares)}")
    asked = [name for name, share in shares.items() if share > 0]
    total = sum(shares[name] * standardised(scores[name]) for name in asked)
    answered = np.any([scores[name] > 0 for name in asked], axis=0)
    lowest = total.min(axis=1, keepdims=True)
    return np.where(answered, total - lowest + 1, 0).astype(np.float32)


def personalised(answers: np.ndarray, taste: np.ndarray, share: float) -> np.ndarray:
    """Scores of a query lifted by a person's taste: standardised answers + share x standardised taste, moved above 0.

    answers, taste: (n, n_items). Items that do not answer the query stay 0: taste orders answers, it never adds any.
    Both are standardised among the items that answer, so that the share means the same for every query.
    """
    if answers.shape != taste.shape or share < 0:
        raise Problem(
            f"answers and taste need one shape and share 0 or more; got {answers.shape}, {taste.shape}, {share}"
        )
    total = _within(answers, answers > 0) + share * _within(taste, answers > 0)
    lowest = np.where(answers > 0, total, np.inf).min(axis=1, keepdims=True)
    return np.where(answers > 0, total - np.where(np.isfinite(lowest), lowest, 0) + 1, 0).astype(np.float32)


def _within(scores: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Scores less their mean over their deviation, both among the chosen of the row; 0 where these are all equal."""
    n = np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    mean = np.where(chosen, scores, 0).sum(axis=1, keepdims=True) / n
    rest = np.where(chosen, scores - mean, 0).astype(np.float64)
    spread = np.sqrt((rest**2).sum(axis=1, keepdims=True) / n)
    return np.divide(rest, spread, out=np.zeros_like(rest), where=spread > 1e-9)


def ranked(scores: np.ndarray, k: int, seen: sparse.csr_matrix | None = None) -> np.ndarray:
    """Lists (n, k) of item rows, best first, -1 where fewer than k items answer; ties by ascending row."""
    return top_k(np.where(scores > 0, scores, -np.inf).astype(np.float32), seen, k)


@dataclass(frozen=True, eq=False)
class Answers:
    """lists (n_queries, k), -1 for no item; state (n_queries,): found, no hit or empty query; note: what to tell."""

    lists: np.ndarray
    state: np.ndarray
    note: str


def answer(index: Index, queries: Sequence[str], k: int, *, popular: np.ndarray | None = None) -> Answers:
    """The first k items for each query.

    popular: (n_items,) counts. Queries that are empty or hit nothing then get the most popular items, and the note
    says so; without it a query that hits nothing has an empty list, and an empty query raises Problem.
    """
    texts = [str(query).strip() for query in queries]
    empty = np.array([not text for text in texts], dtype=bool)
    if empty.any() and popular is None:
        raise Problem(f"query {int(np.flatnonzero(empty)[0])} is empty. Give some words, or counts in `popular`.")
    scores = index.scores(texts)
    scores[empty] = 0
    silent = ~(scores > 0).any(axis=1)
    lists = ranked(scores, k)
    if popular is not None and silent.any():
        lists[silent] = top_k(np.asarray(popular, dtype=np.float32)[None], None, k)
    state = np.select([empty, silent], [EMPTY, NO_HIT], FOUND)
    return Answers(lists, state, _note(state, popular is not None))


def _note(state: np.ndarray, popular: bool) -> str:
    n_empty, n_silent = int((state == EMPTY).sum()), int((state == NO_HIT).sum())
    instead = "they get the most popular items" if popular else "their lists are empty"
    told = f"{n_empty} empty queries, {n_silent} without a hit: {instead}."
    return told if n_empty + n_silent else "Every query found something."


def menu(texts: Sequence[str], dense: Dense, share: float = 1.0) -> dict[str, Index]:
    """The searches that are compared, by name. share: of dense in the weighted sum, BM25 counting 1."""
    words, characters = Lexical(texts), Lexical(texts, weighting="tfidf", unit="characters")
    two: dict[str, Index] = {"BM25": words, "dense": dense}
    alone = {"TF-IDF": Lexical(texts, weighting="tfidf"), "characters": characters, **two}
    fused = {"ranks": Ranks(two), "ranks of 3": Ranks(two | {"characters": characters})}
    return {**alone, **fused, "weighted": Weighted(two, {"BM25": 1.0, "dense": share})}
