"""How alike items are, as tables: from text, facts, genres and behaviour, alone and mixed. Re-rankers: diversity.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from recutils.data import graph as graphs
from recutils.encode.tfidf import tfidf
from recutils.model.content import Vectors, unit_rows
from recutils.tables import TITLE, Dataset, Interactions, Problem

GROUPS = 30  # clusters of text vectors, where the items have no genres
PAIRS = 200_000  # pairs of candidates that tell how far a distance spreads


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike every two items are.

    table: (n_items, n_items) float32, the cosine; 1 on the diagonal. known: (n_items,) bool, False for an item whose
    vector is all zero. Of such an item nothing is known, so it is as like to each other item as a random known item is
    on average: it wins nothing by being unknown, and the table stays positive semi-definite.
    """

    table: np.ndarray
    known: np.ndarray

    @cached_property
    def judged(self) -> np.ndarray:
        """1 - table, for judges: NaN where one of the two items is unknown, so that such pairs do not count."""
        table = 1 - self.table
        table[~self.known], table[:, ~self.known] = np.nan, np.nan
        return table


def likeness(vectors: Vectors) -> Likeness:
    """Cosines of all pairs of rows. vectors: (n_items, d), dense or csr, finite; a zero row means nothing is known."""
    entries = vectors.data if sparse.issparse(vectors) else vectors
    if vectors.ndim != 2 or not np.isfinite(entries).all():
        raise Problem(f"vectors must be finite numbers of shape (n_items, d); got shape {vectors.shape}")
    unit = unit_rows(vectors)
    table = unit @ unit.T
    table = np.asarray(table.toarray() if sparse.issparse(table) else table, np.float32)
    known = np.diag(table) > 0.5
    if not known.any():
        raise Problem("no item has a vector: all rows are zero. Leave this table out.")
    middle = table[known].mean(axis=0)
    table[~known], table[:, ~known] = middle, middle[:, None]
    table[np.ix_(~known, ~known)] = middle[known].mean()
    table[np.diag_indices_from(table)] = 1
    return Likeness(table, known)


def mixed(tables: Mapping[str, Likeness], items: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """One table out of several: each weighs 1 over the deviation of its numbers between two candidates of one person.

    So a unit of each distance is as hard to come by, and a table whose numbers hardly differ is not drowned. items:
    (n_users, n) candidates, -1 for none. Returns a similarity (n_items, n_items), positive semi-definite.
    Raises Problem when there is no table.
    """
    if not tables:
        raise Problem("there is no table to mix; hand over at least one, name -> Likeness")
    first, second = pairs(items, seed)
    spreads = {name: float(one.table[first, second].std()) if len(first) else 0.0 for name, one in tables.items()}
    weights = {name: 1 / spread if spread > 1e-6 else 0.0 for name, spread in spreads.items()}
    if sum(weights.values()) == 0:
        weights = dict.fromkeys(tables, 1.0)
    total = sum(weights.values())
    return sum(np.float32(weights[name] / total) * one.table for name, one in tables.items())


def pairs(items: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Items (first, second) of random pairs of candidates, both of one person: PAIRS of them, less those with a -1."""
    rng, (n_users, n) = np.random.default_rng([seed, 51]), items.shape
    if n_users == 0 or n < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    users, one = rng.integers(0, n_users, PAIRS), rng.integers(0, n, PAIRS)
    other = (one + rng.integers(1, n, PAIRS)) % n
    first, second = items[users, one], items[users, other]
    there = (first >= 0) & (second >= 0)
    return first[there], second[there]


def psd(table: np.ndarray) -> np.ndarray:
    """The nearest positive semi-definite table with the old diagonal's scale: negative eigenvalues become 0.

    table: (n, n) finite, symmetric up to rounding. Takes n^3 operations: for small tables. Source: Higham 1988.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not np.isfinite(table).all():
        raise Problem(f"a table must be square and finite; got shape {table.shape}")
    values, vectors = np.linalg.eigh((table + table.T) / 2)
    return (vectors * np.maximum(values, 0)) @ vectors.T


@dataclass(frozen=True, eq=False)
class Views:
    """Several ways to see items.

    vectors: name -> (n_items, d), dense or csr. groups: (n_items, n_groups) zeros and ones, for intents, and whose.
    grouped: the view that the groups are taken from. notes: what these data lack, and what stands in.
    """

    vectors: Mapping[str, Vectors]
    groups: np.ndarray
    grouped: str
    notes: tuple[str, ...]


def views(dataset: Dataset, train: Interactions, text: np.ndarray, *, seed: int = 0) -> Views:
    """Text, behaviour, genre and facts of a data set; what it lacks is replaced.

    text: (n_items, d) text vectors. behaviour: who met the item in train. genre: genres, or clusters of the text
    vectors. facts: the facts of the graph of films, rare ones weighing more, or the words of the title by TF-IDF.
    """
    found: dict[str, Vectors] = {"text": text, "behaviour": train.matrix("binary").T.tocsr()}
    notes = []
    if "genres" in dataset.items:
        named = dataset.items["genres"].fillna("").str.get_dummies(sep=", ")
        named = named.drop(columns="", errors="ignore")  # pandas makes one of "" for the newer type of text columns
        name, groups = "genre", named.to_numpy(np.float32)
    else:
        name, groups = "group", clusters(text, seed)
        notes += [f"No genres here: {groups.shape[1]} clusters of the text vectors stand in."]
    found[name] = groups
    if dataset.name in graphs.FILMS:
        found["facts"] = _facts(dataset)
    else:
        found["words"] = tfidf(dataset.items[TITLE].fillna("").astype(str).tolist())
        notes += ["No graph of facts here: the words of the title stand in."]
    return Views(found, groups, name, tuple(notes))


def clusters(vectors: np.ndarray, seed: int, n: int = GROUPS) -> np.ndarray:
    """Groups (n_items, n) float32 of zeros and ones: k-means of the vectors; an item without a vector has none."""
    from sklearn.cluster import KMeans

    known = np.linalg.norm(vectors, axis=1) > 0
    n = min(n, max(int(known.sum()) // 5, 1))
    if not known.any():
        raise Problem("no item has a text vector, so there is nothing to cluster; encode titles first.")
    groups = np.zeros((len(vectors), n), np.float32)
    groups[np.flatnonzero(known), KMeans(n, random_state=seed, n_init=1).fit_predict(unit_rows(vectors[known]))] = 1
    return groups


def _facts(dataset: Dataset) -> sparse.csr_matrix:
    """(n_items, n_facts): facts of the films' graph, each weighing the logarithm of how rare it is."""
    facts = graphs.facts_of_items(graphs.one_way(graphs.load_graph(dataset)))
    held = np.bincount(facts.indices, minlength=facts.shape[1])
    return sparse.csr_matrix(facts @ sparse.diags(np.log(facts.shape[0] / np.maximum(held, 1))))
