"""Candidates by an index: the exact one gives what scoring everything gives, ties included; the graph nearly so."""

import dataclasses

import numpy as np
import pytest

from recutils.deploy.candidates import Factors, Nearest
from recutils.deploy.engine import PERSONAL, Engine
from recutils.encode.index import unit
from recutils.model.als import ALS
from recutils.rank.top import top_k
from recutils.tables import Dataset
from tests.deploy.test_engine import bundle, encode


@pytest.fixture
def vectors() -> np.ndarray:
    found = np.random.default_rng(3).normal(size=(600, 8)).astype(np.float32)
    found[100:104] = found[50]  # five of one meaning
    return found


def test_the_exact_index_gives_the_list_of_all_cosines(vectors: np.ndarray) -> None:
    nearest = Nearest(vectors)
    for row in (0, 50, 300):
        all_of = (unit(vectors[[row]]) @ unit(vectors).T).round(5)
        found = nearest.scores(vectors[[row]], 10)
        assert np.isneginf(found).sum() == 600 - 150  # what a fusion reads, and some to spare
        assert top_k(found.round(5), None, 10).tolist() == top_k(all_of, None, 10).tolist()
    assert top_k(nearest.scores(vectors[[50]], 5).round(5), None, 5).tolist() == [[50, 100, 101, 102, 103]]


def test_the_graph_finds_nearly_the_same(vectors: np.ndarray) -> None:
    exact, graph = Nearest(vectors), Nearest(vectors, graph_from=100)
    same = [
        len(set(top_k(exact.scores(one, 10), None, 10)[0]) & set(top_k(graph.scores(one, 10), None, 10)[0]))
        for one in vectors[:50, None]
    ]
    assert np.mean(same) > 9.8


def test_largest_products_are_found_whatever_the_lengths(vectors: np.ndarray) -> None:
    """By cosine alone, long items would be missed: their product is large at a wide angle."""
    stretched = vectors * np.random.default_rng(4).uniform(0.1, 5, (600, 1)).astype(np.float32)
    person = np.random.default_rng(5).normal(size=(1, 8)).astype(np.float32)
    found = Factors(stretched).scores(person, 10)
    assert top_k(found, None, 10).tolist() == top_k(person @ stretched.T, None, 10).tolist()
    assert np.isneginf(found).sum() == 600 - 60


def test_a_factor_model_of_a_large_catalogue_gives_its_own_lists(dataset: Dataset) -> None:
    als = ALS(factors=4, iterations=3).fit(dataset.interactions)
    made = dataclasses.replace(bundle(dataset), model=als)
    small, large = Engine(made, encode), Engine(made, encode, graph_from=10)
    assert small._factors is None and large._factors is not None
    for user in ("u1", "u3", "u20"):
        assert large.for_user(user, 5).items == small.for_user(user, 5).items
        assert large.for_user(user, 5).how == PERSONAL
    assert large.for_text("kettle", 2).items == small.for_text("kettle", 2).items
    assert large.search("claw hammer", 3).items == small.search("claw hammer", 3).items
    assert large.similar("i0", 3).items == small.similar("i0", 3).items
