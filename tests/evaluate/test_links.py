"""Held-out edges and shuffled graphs: laws, a planted homophily, and none where there is none."""

import numpy as np
import pytest
from scipy import sparse

from recutils.evaluate import links
from recutils.tables import Problem


def circles(n: int = 60, groups: int = 3) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Friends inside groups only, and (n,) the groups."""
    rng = np.random.default_rng(0)
    group = np.arange(n) % groups
    linked = (rng.random((n, n)) < 0.3) & (group[:, None] == group)
    graph = sparse.csr_matrix(np.triu(linked, 1).astype(np.float32))
    return (graph + graph.T).tocsr(), group


def test_parts_of_the_graph_are_disjoint_symmetric_and_whole():
    graph, _ = circles()
    parts = links.hold_out(graph, rng=1)
    whole = parts.train + parts.valid + parts.test
    assert (whole != graph).nnz == 0 and whole.max() == 1
    assert all((one != one.T).nnz == 0 for one in (parts.train, parts.valid, parts.test))
    assert parts.test.nnz == pytest.approx(0.1 * graph.nnz, abs=2)


def test_too_few_edges_are_refused():
    with pytest.raises(Problem, match="too few for the shares"):
        links.hold_out(links.graph_of(np.array([[0, 1]]), 3))


def test_shuffles_keep_everybodys_number_of_friends():
    graph, _ = circles()
    edges = links.pairs(graph)
    made = links.shuffled(edges, 60, np.random.default_rng(2))
    again = links.graph_of(made, 60)
    assert (
        np.array_equal(np.diff(again.indptr), np.diff(graph.indptr))
        and again.max() == 1
        and again.diagonal().sum() == 0
    )
    assert (again.multiply(graph)).nnz < 0.6 * graph.nnz, "hardly anything moved"
    assert np.array_equal(edges, links.pairs(graph)), "the caller's edges were changed"


def test_planted_homophily_is_found_and_noise_is_not():
    graph, group = circles()
    same = (group[:, None] == group).astype(float)
    found = links.homophily(same, graph, seed=0, n=99)
    assert found.found == 1 and found.high < 0.6 and found.p == 0.01
    noise = np.random.default_rng(5).random((60, 60))
    assert links.homophily(noise + noise.T, graph, seed=0, n=99).p > 0.02


def test_a_graph_without_edges_has_no_homophily():
    with pytest.raises(Problem, match="2 edges"):
        links.homophily(np.ones((3, 3)), sparse.csr_matrix((3, 3)), seed=0)
