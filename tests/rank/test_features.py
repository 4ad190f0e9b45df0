"""Features on planted events whose values can be told on paper."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recutils.rank.features import GROUPS, columns, near_in_time, side_of
from recutils.tables import Dataset, Interactions, Problem


def events(*rows: tuple[int, int, float, int], n_users: int = 2, n_items: int = 4) -> Interactions:
    table = pd.DataFrame(rows, columns=["user", "item", "value", "time"])
    return Interactions(table.assign(time=pd.to_datetime(table.time, unit="s")), n_users, n_items)


def everything(train: Interactions) -> np.ndarray:
    return np.tile(np.arange(train.n_items), (train.n_users, 1))


def made(train: Interactions, side) -> dict[str, np.ndarray]:  # noqa: ANN001
    return {name: values for _, name, values in columns(train, side, everything(train))}


@pytest.fixture
def with_fields(dataset: Dataset) -> Dataset:
    """The planted data with every field that features read."""
    users = dataset.users.assign(age=30, gender="F", occupation="writer")
    items = dataset.items.assign(year=1990.0, genres="Drama, War")
    return replace(dataset, users=users, items=items)


def test_near_in_time_ties_what_one_person_met_within_minutes() -> None:
    train = events((0, 0, 5, 0), (0, 1, 5, 60), (0, 2, 5, 10**6), (1, 1, 5, 60), (1, 3, 5, 60))
    ties = near_in_time(train, train.time.to_numpy().astype("datetime64[s]").astype(np.int64), 60.0)
    assert ties[0, 1] == pytest.approx(np.exp(-1)) and ties[1, 0] == ties[0, 1] and ties[1, 3] == pytest.approx(1.0)
    assert ties[0, 2] == 0 and ties[0, 3] == 0, "too far apart, and different people"


def test_text_features_follow_the_vectors(dataset: Dataset) -> None:
    vectors = np.array([[1.0, 0], [0.9, 0.1], [-1, 0], [0, -1]], dtype=np.float32)
    train = events((0, 0, 5, 0), (1, 2, 5, 0))
    own = Dataset("own", train, dataset.users[:2], dataset.items[:4], explicit=True)
    found = made(train, side_of(own, vectors))
    assert found["cosine, best"][0].argsort()[::-1][:2].tolist() == [0, 1]
    assert found["cosine, mean"][1].argmax() == 2


def test_all_groups_come_where_the_data_have_all(with_fields: Dataset) -> None:
    train = with_fields.interactions
    vectors = np.random.default_rng(0).normal(size=(train.n_items, 4))
    found = list(columns(train, side_of(with_fields, vectors), everything(train)))
    assert {group for group, _, _ in found} == set(GROUPS) - {"cf"}
    shape = (train.n_users, train.n_items)
    assert all(values.shape == shape and values.dtype == np.float32 for _, _, values in found)
    assert all(np.isfinite(values).all() for _, _, values in found)


@pytest.mark.parametrize("vectors", [None, np.zeros((30, 4), dtype=np.float32)])
def test_a_modality_that_is_all_missing_is_told_and_left_out(dataset: Dataset, vectors: np.ndarray | None) -> None:
    timeless = Interactions(dataset.interactions.rows[["user", "item", "value"]], 40, 30)
    side = side_of(replace(dataset, interactions=timeless), vectors)
    assert {group for group, _, _ in columns(timeless, side, everything(timeless))} == {"popularity", "traits"}
    assert "text" in side.missing[0] and "no times" in side.missing[1] and "genres" in side.missing[2]


def test_an_item_without_text_is_like_nothing(dataset: Dataset) -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 4))
    vectors[3] = 0
    similar = side_of(dataset, vectors).similar
    assert not similar[3].any() and similar[4, 4] == pytest.approx(1.0, abs=1e-5)


def test_wrong_vectors_are_refused(dataset: Dataset) -> None:
    for wrong in (np.ones((29, 4)), np.full((30, 4), np.nan)):
        with pytest.raises(Problem, match="30 items"):
            side_of(dataset, wrong)
