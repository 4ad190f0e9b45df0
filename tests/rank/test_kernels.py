"""Tables of likeness: unknown items, mixtures, views of planted data sets."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.rank import kernels
from recutils.tables import Dataset, Interactions, Problem


def test_cosines_and_unknown_items_in_the_middle() -> None:
    found = kernels.likeness(np.array([[1.0, 0], [2, 0], [0, 1], [0, 0]]))
    np.testing.assert_allclose(found.table[0], [1, 1, 0, 2 / 3], atol=1e-6)
    assert found.known.tolist() == [True, True, True, False]
    assert np.isnan(found.judged[3]).all() and np.isnan(found.judged[:, 3]).all()
    assert found.judged[0, 2] == 1 and np.isfinite(found.table).all()
    assert np.linalg.eigvalsh(found.table.astype(float)).min() > -1e-6


def test_many_unknown_items_stay_positive_semi_definite() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 3)) + 1
    vectors[::3] = 0
    table = kernels.likeness(vectors).table.astype(float)
    assert np.linalg.eigvalsh(table).min() > -1e-5 and np.array_equal(np.diag(table), np.ones(40))


def test_dense_and_sparse_agree() -> None:
    vectors = np.random.default_rng(0).integers(0, 3, (8, 5)).astype(np.float32)
    dense, thin = kernels.likeness(vectors), kernels.likeness(sparse.csr_matrix(vectors))
    np.testing.assert_allclose(dense.table, thin.table, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(Problem, match="finite"):
        kernels.likeness(np.array([[np.nan, 1.0]]))
    with pytest.raises(Problem, match="all rows are zero"):
        kernels.likeness(np.zeros((3, 2)))
    with pytest.raises(Problem, match="no table"):
        kernels.mixed({}, np.zeros((1, 2), int))


def test_a_mixture_weighs_by_spread() -> None:
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(size=(30, 3)), 50 + rng.normal(size=(30, 3))
    tables = {"wide": kernels.likeness(wide), "narrow": kernels.likeness(narrow)}
    items = np.tile(np.arange(30), (4, 1))
    found = kernels.mixed(tables, items)
    first, second = np.triu_indices(30, 1)
    parts = {name: np.corrcoef(found[first, second], one.table[first, second])[0, 1] for name, one in tables.items()}
    assert min(parts.values()) > 0.5, "the narrow table must not be drowned"
    assert np.array_equal(found, kernels.mixed(tables, items))


def test_a_table_without_spread_and_lists_of_one_item() -> None:
    same = kernels.likeness(np.ones((4, 2)))
    assert np.allclose(kernels.mixed({"same": same}, np.array([[0, 1]])), 1)
    assert np.allclose(kernels.mixed({"same": same}, np.array([[0]])), 1)


def test_pairs_are_of_one_person() -> None:
    items = np.array([[0, 1, -1], [2, 3, 4]])
    first, second = kernels.pairs(items, 0)
    assert (first != second).all() and (first >= 0).all() and (second >= 0).all()
    assert ((first < 2) == (second < 2)).all()


def _dataset(**columns: list) -> Dataset:
    rows = pd.DataFrame({"user": [0, 0, 1, 1], "item": [0, 1, 1, 2], "value": 1.0})
    items = pd.DataFrame({"item_id": list("abc"), "title": ["red cup", "blue cup", None], **columns})
    return Dataset("own", Interactions(rows, 2, 3), pd.DataFrame({"user_id": ["u", "v"]}), items, False)


def test_views_say_what_stands_in() -> None:
    vectors = np.array([[1.0, 0], [0, 1], [0, 0]])
    data = _dataset()
    found = kernels.views(data, data.interactions, vectors)
    assert list(found.vectors) == ["text", "behaviour", "group", "words"] and len(found.notes) == 2
    assert found.groups[2].sum() == 0, "an item without a text has no cluster"
    data = _dataset(genres=["Crime, Drama", "Crime", None])
    found = kernels.views(data, data.interactions, vectors)
    assert found.grouped == "genre" and found.groups.tolist() == [[1, 1], [1, 0], [0, 0]]


def test_clusters_need_a_text() -> None:
    with pytest.raises(Problem, match="cluster"):
        kernels.clusters(np.zeros((3, 2)), 0)
