"""Coverage, Gini, novelty and intra-list distance against known values and slow, plain computations."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recutils.evaluate import beyond
from recutils.tables import Problem


def test_coverage() -> None:
    lists = np.array([[0, 1, 2], [0, 3, -1]])
    assert beyond.catalogue_coverage(lists, 8) == 0.5
    assert beyond.catalogue_coverage(lists, 8, k=1) == 0.125
    assert beyond.exposure(lists, 8).sum() == 5


def test_gini_known_values() -> None:
    assert beyond.gini(np.full(7, 3)) == pytest.approx(0, abs=1e-12)
    assert beyond.gini([0, 0, 0, 1]) == pytest.approx(0.75)
    assert beyond.gini([0, 0, 5, 5]) == pytest.approx(0.5)
    assert beyond.gini([1, 3]) == pytest.approx(0.25)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30).filter(any))
def test_gini_is_the_mean_difference(counts: list[int]) -> None:
    numbers = np.array(counts, dtype=float)
    differences = np.abs(numbers[:, None] - numbers[None, :]).mean()
    assert beyond.gini(counts) == pytest.approx(differences / (2 * numbers.mean()), abs=1e-12)


@pytest.mark.parametrize("counts", [[0, 0], [1, -1], [1, np.nan], [[1, 2]]])
def test_gini_refusals(counts: list) -> None:
    with pytest.raises(Problem, match="counts"):
        beyond.gini(counts)


def test_novelty_on_paper() -> None:
    train = sparse.csr_matrix(np.array([[1, 1, 0, 0]] * 2 + [[1, 0, 0, 0]] * 6 + [[0, 0, 0, 0]]))
    assert beyond.self_information(train).tolist() == [0.0, 2.0, 3.0, 3.0]  # 8 of 8, 2 of 8, nobody as 1 of 8
    found = beyond.novelty(np.array([[0, 1, 2], [1, -1, -1], [-1, -1, -1]]), train)
    assert found[:2].tolist() == pytest.approx([5 / 3, 2])
    assert np.isnan(found[2])


def test_a_rating_of_zero_is_an_event() -> None:
    train = sparse.csr_matrix((np.array([0.0, 1.0]), ([0, 1], [0, 1])), shape=(2, 2))
    assert beyond.self_information(train).tolist() == [1.0, 1.0]


def test_popular_lists_are_less_novel() -> None:
    rng = np.random.default_rng(0)
    train = sparse.csr_matrix(rng.random((300, 40)) < np.linspace(0.9, 0.02, 40))
    head, tail = np.tile(np.arange(5), (10, 1)), np.tile(np.arange(35, 40), (10, 1))
    assert (beyond.novelty(head, train) + 2 < beyond.novelty(tail, train)).all()


@pytest.mark.parametrize("stored", ["dense", "sparse"])
def test_intra_list_distance_equals_the_plain_loop(stored: str) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 8)) * rng.random((30, 1))
    vectors[[3, 17]] = 0  # no text
    lists = rng.permuted(np.tile(np.arange(30), (50, 1)), axis=1)[:, :6]
    lists[:20, 4:] = -1
    given_vectors = vectors if stored == "dense" else sparse.csr_matrix(vectors)
    ours = beyond.intra_list_distance(lists, given_vectors)
    for row, value in zip(lists, ours, strict=True):
        shown = [vectors[i] / np.linalg.norm(vectors[i]) for i in row if i >= 0 and vectors[i].any()]
        assert value == pytest.approx(np.mean([1 - a @ b for a, b in combinations(shown, 2)]), abs=1e-12)


def test_intra_list_distance_limits() -> None:
    vectors = np.array([[1.0, 0], [3, 0], [0, 2], [0, 0]])
    found = beyond.intra_list_distance(np.array([[0, 1], [0, 2], [0, -1], [0, 3]]), vectors)
    assert found[:2].tolist() == [0.0, 1.0]
    assert np.isnan(found[2:]).all()
    with pytest.raises(Problem, match="finite"):
        beyond.intra_list_distance(np.array([[0, 1]]), np.array([[1.0], [np.nan]]))
    with pytest.raises(Problem, match="outside"):
        beyond.intra_list_distance(np.array([[0, 9]]), vectors)
    with pytest.raises(Problem, match="no events"):
        beyond.novelty(np.array([[0, 1]]), sparse.csr_matrix((3, 4)))


def test_a_table_of_distances_gives_the_same_as_vectors() -> None:
    rng = np.random.default_rng(0)
    vectors, lists = rng.normal(size=(30, 4)), rng.permuted(np.tile(np.arange(30), (20, 1)), axis=1)[:, :6]
    vectors[3], lists[0, 4:] = 0, -1
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    distance = 1 - unit @ unit.T
    distance[3], distance[:, 3] = np.nan, np.nan
    found = beyond.mean_distance(lists, distance)
    np.testing.assert_allclose(found, beyond.intra_list_distance(lists, vectors), atol=1e-12)


def test_serendipity_needs_a_hit_that_is_not_obvious() -> None:
    truth = sparse.csr_matrix([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    lists, obvious = np.array([[0, 1, 3], [0, 1, -1], [0, 1, 2]]), np.array([[0], [-1], [1]])
    found = beyond.serendipity(lists, truth, obvious)
    assert found[:2].tolist() == pytest.approx([1 / 3, 2 / 3]) and np.isnan(found[2])
    assert (beyond.serendipity(lists[:2], truth[:2], lists[:2]) == 0).all()
    with pytest.raises(Problem, match="row for each"):
        beyond.serendipity(lists, truth, obvious[:1])
