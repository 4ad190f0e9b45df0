"""Row numbers, matrices and the errors of broken tables."""

import numpy as np
import pandas as pd
import pytest

from recutils.tables import Dataset, Ids, Interactions, Problem, check_columns


def rows(**columns: list) -> pd.DataFrame:
    return pd.DataFrame({"user": [0, 1, 0], "item": [2, 0, 2], "value": [3.0, 4.0, 5.0]} | columns)


def test_ids_go_both_ways() -> None:
    ids = Ids(["b", 7, "a"])
    assert ids.rows(["a", "7", "b"]).tolist() == [2, 1, 0]
    assert ids.rows([7]).dtype == np.int32
    assert ids.ids([0, 2]).tolist() == ["b", "a"]
    assert "7" in ids and "8" not in ids and len(ids) == 3


def test_ids_name_what_is_unknown_or_double() -> None:
    with pytest.raises(Problem, match=r"2 unknown ids, such as \['x', 'y'\]"):
        Ids(["a"]).rows(["x", "a", "y"])
    with pytest.raises(Problem, match=r"\['a'\] occur more than once"):
        Ids(["a", "b", "a"])


def test_matrix_keeps_the_last_of_a_double_pair_and_stores_zeros() -> None:
    met = Interactions(rows(value=[3.0, 0.0, 5.0]), 3, 4)
    assert met.matrix().toarray().tolist() == [[0, 0, 5, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert met.matrix().nnz == 2
    assert met.matrix("binary").toarray().sum() == 2
    assert met.matrix().dtype == np.float32
    with pytest.raises(Problem, match="'value' or 'binary'"):
        met.matrix("counts")


def test_only_takes_masks_and_positions_in_order() -> None:
    met = Interactions(rows(), 2, 3)
    assert met.only(np.array([True, False, True])).value.tolist() == [3.0, 5.0]
    assert met.only(np.array([2, 0])).value.tolist() == [5.0, 3.0]
    assert met.only(np.array([2])).n_users == 2


def test_input_table_is_not_changed_and_types_are_fixed() -> None:
    table = rows()
    before = table.copy()
    met = Interactions(table, 2, 3)
    pd.testing.assert_frame_equal(table, before)
    assert [str(kind) for kind in met.rows.dtypes] == ["int32", "int32", "float32"]


def test_time_is_named_when_missing() -> None:
    with pytest.raises(Problem, match="no time"):
        _ = Interactions(rows(), 2, 3).time


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"user": [0, 5, 0]}, r"row 1 has user 5; it must lie in 0\.\.1"),
        ({"item": [2, -1, 2]}, r"row 1 has item -1; it must lie in 0\.\.2"),
        ({"value": [1.0, 2.0, float("nan")]}, "row 2 has value nan"),
        ({"value": [1.0, float("inf"), 1.0]}, "row 1 has value inf"),
    ],
)
def test_broken_rows_are_named(broken: dict, message: str) -> None:
    with pytest.raises(Problem, match=message):
        Interactions(rows(**broken), 2, 3)


def test_missing_column_lists_what_was_found_and_the_cure() -> None:
    with pytest.raises(Problem, match=r"column 'item' is missing; found \['user'\].*dataset.toml"):
        check_columns(pd.DataFrame({"user": []}), ["user", "item"], "interactions.csv")


def test_dataset_refuses_tables_of_another_size(dataset: Dataset) -> None:
    with pytest.raises(Problem, match="tables hold"):
        Dataset("x", dataset.interactions, dataset.users[:-1], dataset.items, explicit=True)
    assert dataset.user_ids.rows(["u3"]).tolist() == [3]
    assert dataset.item_ids.ids([4]).tolist() == ["i4"]
