"""What stands beside the listening counts of lastfm-2k: who is whose friend, and which tags people gave to artists.

Both by the row numbers of a loaded data set, a sample or a thinned one too. Nothing is scored or split here.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from recutils.data.fetch import fetch
from recutils.tables import ITEM, ITEM_ID, TIME, USER, USER_ID, Dataset, Problem

NAME = "lastfm-2k"
TAG = "tag"
FIRST_YEAR = 2002  # when the site opened; earlier days are slips and count as missing
DAY = ["day", "month", "year"]


def friends(dataset: Dataset) -> sparse.csr_matrix:
    """Friendships (n_users, n_users) csr float32, 1 in both directions, nothing on the diagonal.

    Friends who are not among the data set's people are left out. Raises Problem for another data set.
    """
    pairs = _read(_folder(dataset) / "user_friends.dat")
    rows, others = (_rows(dataset, pairs[name], USER_ID) for name in ("userID", "friendID"))
    kept = (rows >= 0) & (others >= 0) & (rows != others)
    n = len(dataset.users)
    found = sparse.csr_matrix((np.ones(kept.sum(), np.float32), (rows[kept], others[kept])), shape=(n, n))
    return symmetric(found)


def symmetric(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """The graph with each edge in both directions and every stored value 1, sorted."""
    both = (graph + graph.T).tocsr()
    both.data[:] = 1
    both.sort_indices()
    return both


def tags(dataset: Dataset) -> pd.DataFrame:
    """Who gave which tag to which artist: user, item (rows), tag (text), time (a day, NaT where it is impossible).

    Rows keep the file's order; those of people or artists who are not in the data set are left out. Raises Problem for
    another data set.
    """
    folder = _folder(dataset)
    given, names = _read(folder / "user_taggedartists.dat"), _read(folder / "tags.dat", encoding="latin-1")
    days = given[DAY].astype(int)
    time = pd.to_datetime(days, errors="coerce").where(days.year >= FIRST_YEAR)
    words = given["tagID"].map(names.set_index("tagID")["tagValue"]).str.strip()
    table = {USER: _rows(dataset, given["userID"], USER_ID), ITEM: _rows(dataset, given["artistID"], ITEM_ID)}
    found = pd.DataFrame({**table, TAG: words, TIME: time})
    return found[(found[USER] >= 0) & (found[ITEM] >= 0) & found[TAG].notna()].reset_index(drop=True)


def _folder(dataset: Dataset) -> Path:
    """The fetched files."""
    if dataset.name != NAME:
        raise Problem(f"only {NAME} has friends and tags here; got {dataset.name!r}. Load {NAME}.")
    return fetch(NAME, say=print)


def _read(path: Path, encoding: str = "utf-8") -> pd.DataFrame:
    """A table with tabs between cells, every cell text."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding=encoding, quoting=3)


def _rows(dataset: Dataset, ids: pd.Series, column: str) -> np.ndarray:
    """Row numbers (n,) of external ids, -1 for those not in the data set."""
    known = dataset.users if column == USER_ID else dataset.items
    return pd.Index(known[column].astype(str)).get_indexer(ids.astype(str))
