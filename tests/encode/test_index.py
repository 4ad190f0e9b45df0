"""Exact and graph search of faiss against the plain one, and vectors made of real ones."""

import numpy as np
import pytest

from recutils.encode.index import Flat, Graph, enlarged, least_effort, milliseconds, recall
from recutils.encode.search import Neighbours, nearest
from recutils.tables import Problem


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((600, 16)).astype(np.float32) * 3


def test_flat_agrees_with_plain_search(vectors) -> None:
    found, plain = Flat(vectors).nearest(vectors[:20], 5), nearest(vectors, vectors[:20], 5)
    assert np.array_equal(found.rows, plain.rows)
    np.testing.assert_allclose(found.cosine, plain.cosine, atol=2e-6)


def test_more_effort_finds_more_and_all_in_the_end(vectors) -> None:
    graph, truth = Graph(vectors, links=4, build=8), Flat(vectors).nearest(vectors[:100], 10)
    shares = [recall(graph.nearest(vectors[:100], 10, effort=effort), truth).mean() for effort in (10, 40, 600)]
    assert shares[0] < shares[1] <= shares[2] and shares[0] < 0.95 and shares[2] > 0.97


def test_the_same_vectors_give_the_same_graph(vectors) -> None:
    first, second = (Graph(vectors).nearest(vectors[:50], 10, effort=16).rows for _ in range(2))
    assert np.array_equal(first, second)


def test_least_effort_reaches_what_is_wanted(vectors) -> None:
    graph, truth = Graph(vectors), Flat(vectors).nearest(vectors[:100], 10)
    effort = least_effort(graph, vectors[:100], truth, 0.99, [10, 20, 40, 80, 160])
    assert recall(graph.nearest(vectors[:100], 10, effort=effort), truth).mean() >= 0.99
    assert least_effort(graph, vectors[:100], truth, 1.1, [10, 20]) == 20, "the largest tried when none suffices"


def test_recall_counts_ties_as_found_and_holes_as_missed() -> None:
    truth = Neighbours(np.array([[0, 1]]), np.array([[0.9, 0.5]], dtype=np.float32))
    assert recall(Neighbours(np.array([[0, 7]]), np.array([[0.9, 0.5]])), truth).tolist() == [1.0]
    assert recall(Neighbours(np.array([[0, -1]]), np.array([[0.9, 0.9]])), truth).tolist() == [0.5]
    with pytest.raises(Problem, match="one shape"):
        recall(Neighbours(np.array([[0]]), np.array([[0.9]])), truth)


def test_made_vectors_lie_between_real_neighbours(vectors) -> None:
    made = enlarged(vectors, 1500, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)
    near = nearest(vectors, made, 1).cosine[:, 0]
    chance = nearest(vectors, np.random.default_rng(2).standard_normal((1500, 16)), 1).cosine[:, 0]
    assert near.mean() > chance.mean() + 0.05 and len(np.unique(made.round(5), axis=0)) > 1400
    assert np.array_equal(made, enlarged(vectors, 1500, np.random.default_rng(1)))


def test_bad_input_is_named(vectors) -> None:
    with pytest.raises(Problem, match="n, d"):
        Flat(np.zeros((0, 4)))
    with pytest.raises(Problem, match="finite"):
        Graph(np.full((3, 4), np.nan))
    with pytest.raises(Problem, match="links"):
        Graph(vectors, links=1)
    with pytest.raises(Problem, match="k must"):
        Graph(vectors).nearest(vectors[:1], 20, effort=10)
    with pytest.raises(Problem, match="numbers each"):
        Flat(vectors).nearest(np.zeros((1, 3)), 1)
    with pytest.raises(Problem, match="at least 11"):
        enlarged(vectors[:5], 10, np.random.default_rng(0))


def test_times_are_of_each_query(vectors) -> None:
    assert (milliseconds(lambda query: query.sum(), vectors[:7]) >= 0).sum() == 7
