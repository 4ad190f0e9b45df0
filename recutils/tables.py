"""Column names, row numbers, the interaction table and its checks. No files and no statistics here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

USER_ID = "user_id"  # the outside world's name of a user, text
ITEM_ID = "item_id"  # the outside world's name of an item, text
USER = "user"  # row number of a user, int32
ITEM = "item"  # row number of an item, int32
VALUE = "value"  # rating, count or 1.0, float32
TIME = "time"  # datetime64[s], UTC without zone
TITLE = "title"  # text shown to people


class Problem(ValueError):
    """A fault that the reader can cure; the message says what was expected, what came and what to do."""


class Ids:
    """External ids in row order: row i belongs to `values[i]`.

    values: unique ids, read as text. Raises Problem when an id occurs twice.
    """

    def __init__(self, values: Iterable[object]) -> None:
        self.values = np.array([str(value) for value in values], dtype=object)
        self._index = pd.Index(self.values)
        if not self._index.is_unique:
            double = self._index[self._index.duplicated()][:3].tolist()
            raise Problem(f"ids must be unique; {double} occur more than once. Drop or rename the repeated rows.")

    def __len__(self) -> int:
        return len(self.values)

    def __contains__(self, value: object) -> bool:
        return str(value) in self._index

    def rows(self, ids: Sequence[object] | np.ndarray | pd.Series) -> np.ndarray:
        """Row numbers (n,) int32 of external ids. Raises Problem naming up to three unknown ids."""
        wanted = pd.Index([str(value) for value in ids], dtype=self._index.dtype)
        found = self._index.get_indexer(wanted)
        if (found < 0).any():
            unknown = wanted[found < 0][:3].tolist()
            raise Problem(
                f"{(found < 0).sum()} unknown ids, such as {unknown}; known ids look like {self.values[:3].tolist()}."
            )
        return found.astype(np.int32)

    def ids(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """External ids (n,) of row numbers."""
        return self.values[np.asarray(rows, dtype=np.int64)]


def check_columns(table: pd.DataFrame, required: Sequence[str], where: str) -> None:
    """Raise Problem when a required column is missing; the message lists what was found and the cure."""
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise Problem(
            f"{where}: column {', '.join(map(repr, missing))} is missing; found {list(table.columns)}. "
            "Rename the column, or map it in dataset.toml under [columns]; for a folder of your own, "
            "`python -m recutils data guess FOLDER` proposes all names at once."
        )


def check_interactions(rows: pd.DataFrame, n_users: int, n_items: int, where: str = "interactions") -> None:
    """Raise Problem when row numbers lie outside the tables or a value is not finite; names the first such row."""
    check_columns(rows, [USER, ITEM, VALUE], where)
    for column, size in ((USER, n_users), (ITEM, n_items)):
        bad = np.flatnonzero((rows[column].to_numpy() < 0) | (rows[column].to_numpy() >= size))
        if len(bad):
            came = rows[column].iloc[bad[0]]
            raise Problem(
                f"{where}: row {bad[0]} has {column} {came}; it must lie in 0..{size - 1}. Rebuild it with Ids.rows."
            )
    bad = np.flatnonzero(~np.isfinite(rows[VALUE].to_numpy()))
    if len(bad):
        raise Problem(
            f"{where}: row {bad[0]} has value {rows[VALUE].iloc[bad[0]]}; values must be finite numbers. "
            f"Drop these {len(bad)} rows."
        )


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who met which item, how strongly and when, by row numbers and in file order.

    rows: columns user and item (int32), value (float32) and, if known, time (datetime64[s], UTC).
    n_users, n_items: sizes of the tables behind the row numbers, so that a matrix keeps its shape when rows are few.
    """

    rows: pd.DataFrame
    n_users: int
    n_items: int

    def __post_init__(self) -> None:
        """Check the rows and fix their types; the caller's table is not changed."""
        check_interactions(self.rows, self.n_users, self.n_items)
        types = {USER: np.int32, ITEM: np.int32, VALUE: np.float32} | ({TIME: "datetime64[s]"} if self.has_time else {})
        columns = [USER, ITEM, VALUE] + ([TIME] if self.has_time else [])
        object.__setattr__(self, "rows", self.rows[columns].astype(types).reset_index(drop=True))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def has_time(self) -> bool:
        """True when the rows carry a time."""
        return TIME in self.rows.columns

    @property
    def user(self) -> pd.Series:
        """User row of each interaction."""
        return self.rows[USER]

    @property
    def item(self) -> pd.Series:
        """Item row of each interaction."""
        return self.rows[ITEM]

    @property
    def value(self) -> pd.Series:
        """Rating, count or 1.0 of each interaction."""
        return self.rows[VALUE]

    @property
    def time(self) -> pd.Series:
        """Time of each interaction, UTC. Raises Problem when the data have none."""
        if not self.has_time:
            raise Problem(
                "these interactions have no time; found user, item, value. Use a split or model that needs no time."
            )
        return self.rows[TIME]

    def only(self, chosen: np.ndarray | pd.Series) -> "Interactions":
        """The rows of a bool mask or of positions, in that order; the sizes stay."""
        chosen = np.asarray(chosen)
        return Interactions(
            self.rows[chosen] if chosen.dtype == bool else self.rows.iloc[chosen], self.n_users, self.n_items
        )

    def matrix(self, values: str = "value") -> sparse.csr_matrix:
        """Sparse (n_users, n_items) float32; values is "value" or "binary" (1 where the pair occurs).

        A pair that occurs twice keeps its last value. A value of 0 is stored, so that it still counts as met.
        """
        if values not in ("value", "binary"):
            raise Problem(f"values must be 'value' or 'binary'; got {values!r}")
        last = self.rows.drop_duplicates([USER, ITEM], keep="last")
        data = last[VALUE].to_numpy() if values == "value" else np.ones(len(last), dtype=np.float32)
        coordinates = (last[USER].to_numpy(), last[ITEM].to_numpy())
        matrix = sparse.csr_matrix((data, coordinates), shape=(self.n_users, self.n_items), dtype=np.float32)
        matrix.sort_indices()
        return matrix


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as every notebook takes it.

    users, items: one row for each row number; columns user_id, and item_id and title, then any further fields.
    explicit: True when the values are opinions (ratings), False for events and counts.
    notes: sentences on what was dropped, merged or is unusual, with counts.
    """

    name: str
    interactions: Interactions
    users: pd.DataFrame
    items: pd.DataFrame
    explicit: bool
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the tables and the row numbers agree."""
        check_columns(self.users, [USER_ID], f"{self.name} users")
        check_columns(self.items, [ITEM_ID, TITLE], f"{self.name} items")
        sizes = (len(self.users), len(self.items))
        if sizes != (self.interactions.n_users, self.interactions.n_items):
            came = (self.interactions.n_users, self.interactions.n_items)
            raise Problem(
                f"{self.name}: tables hold {sizes} users and items, the interactions expect {came}. "
                "Build both from one list of ids."
            )

    @cached_property
    def user_ids(self) -> Ids:
        """External user ids by row."""
        return Ids(self.users[USER_ID])

    @cached_property
    def item_ids(self) -> Ids:
        """External item ids by row."""
        return Ids(self.items[ITEM_ID])
