"""Friendships judged: edges held out, graphs shuffled with everybody's number of friends kept, homophily tested.

Scores of pairs are made in model/links.py, lists in rank/top.py, metrics in metrics.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from recutils.data.split import check_shares
from recutils.tables import Problem


@dataclass(frozen=True, eq=False)
class Edges:
    """Three graphs (n, n) csr, symmetric, that share no edge; together they are the whole."""

    train: sparse.csr_matrix
    valid: sparse.csr_matrix
    test: sparse.csr_matrix


def pairs(graph: sparse.csr_matrix) -> np.ndarray:
    """The edges (m, 2), each once, the smaller row first."""
    upper = sparse.triu(graph, 1).tocoo()
    return np.stack([upper.row, upper.col], axis=1).astype(np.int64)


def graph_of(edges: np.ndarray, n: int) -> sparse.csr_matrix:
    """The symmetric graph (n, n) csr float32 of edges (m, 2)."""
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=(n, n))


def hold_out(graph: sparse.csr_matrix, shares: Sequence[float] = (0.8, 0.1, 0.1), rng: int = 0) -> Edges:
    """Edges dealt at random; both directions of an edge stay together. Raises Problem when a part would be empty."""
    check_shares(shares)
    edges, n = pairs(graph), graph.shape[0]
    cuts = np.rint(np.cumsum(shares)[:2] * len(edges)).astype(int)
    parts = np.split(edges[np.random.default_rng(rng).permutation(len(edges))], cuts)
    if min(map(len, parts)) == 0:
        raise Problem(f"{len(edges)} edges are too few for the shares {tuple(shares)}. Bring a larger graph.")
    return Edges(*(graph_of(part, n) for part in parts))


def shuffled(edges: np.ndarray, n: int, rng: np.random.Generator, *, rounds: int = 20) -> np.ndarray:
    """Edges (m, 2) at random, everybody keeping the number of friends: double-edge swaps (Maslov & Sneppen 2002).

    In each round the edges are paired at random, and of a pair a-b, c-d the ends b and d are exchanged, unless that
    would make a loop or an edge that is there already or twice among the new ones.
    """
    edges = edges.copy()
    for _ in range(rounds):
        order = rng.permutation(len(edges))
        first, second = order[: len(order) // 2], order[len(order) // 2 : len(order) // 2 * 2]
        turned = np.where(rng.random(len(second))[:, None] < 0.5, edges[second], edges[second][:, ::-1])
        made = np.stack([edges[first][:, 0], turned[:, 1]], 1), np.stack([turned[:, 0], edges[first][:, 1]], 1)
        fine = _allowed(edges, made, n)
        edges[first[fine]], edges[second[fine]] = made[0][fine], made[1][fine]
    return edges


def _allowed(edges: np.ndarray, made: tuple[np.ndarray, np.ndarray], n: int) -> np.ndarray:
    """(pairs,) bool: neither new edge is a loop, known, or made twice."""
    keys = np.concatenate([_keys(one, n) for one in made])
    single = np.isin(keys, np.unique(keys)[np.unique(keys, return_counts=True)[1] == 1])
    loops = np.concatenate([one[:, 0] == one[:, 1] for one in made])
    good = single & ~loops & ~np.isin(keys, _keys(edges, n))
    half = len(made[0])
    return good[:half] & good[half:]


def _keys(edges: np.ndarray, n: int) -> np.ndarray:
    """One number for each edge, whatever its direction."""
    return edges.min(axis=1) * np.int64(n) + edges.max(axis=1)


@dataclass(frozen=True)
class Homophily:
    """How alike friends are: `found`, the mean of `shuffled` graphs, their range of 95 %, the p, how many shuffles."""

    found: float
    shuffled: float
    low: float
    high: float
    p: float
    n: int


def homophily(alike: np.ndarray, graph: sparse.csr_matrix, *, seed: int, n: int = 200, rounds: int = 4) -> Homophily:
    """Mean likeness over the edges, against graphs in which everybody keeps the number of friends.

    alike: (n, n), finite. p: the share of graphs, the real one counted, that reach the found mean (one-sided). The
    shuffles are one chain: 20 rounds at its start, `rounds` between two graphs. Raises Problem without an edge.
    """
    edges = pairs(graph)
    if len(edges) < 2 or n < 1:
        raise Problem(f"homophily needs 2 edges and 1 shuffle at least; got {len(edges)} and {n}")
    rng = np.random.default_rng(seed)
    found = float(alike[edges[:, 0], edges[:, 1]].mean())
    now, means = shuffled(edges, graph.shape[0], rng), np.empty(n)
    for draw in range(n):
        now = shuffled(now, graph.shape[0], rng, rounds=rounds)
        means[draw] = alike[now[:, 0], now[:, 1]].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    p = (1 + int((means >= found).sum())) / (1 + n)
    return Homophily(found, float(means.mean()), float(low), float(high), p, n)
