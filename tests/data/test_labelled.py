"""Labelled texts: counts of the real data, what must not be read, parts that stay apart, and bad input."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.labelled import READERS, Labelled, drawn, load_labelled, parts
from recutils.tables import Problem

TEN = Labelled("ten", tuple("abcdefghij"), np.arange(10) % 2, ("no", "yes"))


@pytest.mark.parametrize(
    ("name", "n", "n_classes"), [("clothing-reviews", 22_636, 2), ("drug-reviews", 979, 3), ("reuters", 7_674, 8)]
)
def test_real_counts(name: str, n: int, n_classes: int) -> None:
    found = load_labelled(name)
    assert (len(found), len(found.classes)) == (n, n_classes)
    assert len(np.unique(found.labels)) == n_classes and found.counts().rows.sum() == n


def test_the_star_rating_is_never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    read = pd.read_parquet

    def spy(path, columns=None):
        asked.append(columns)
        return read(path, columns=columns)

    monkeypatch.setattr(pd, "read_parquet", spy)
    found = load_labelled("clothing-reviews")
    assert asked == [["Title", "Review Text", "Recommended IND"]]
    table = read(next(path for path in (_folder()).glob("*.brotli")))
    table = table[table["Review Text"].notna()]
    words = set(" ".join(table["Title"].fillna("") + ". " + table["Review Text"]).split())
    assert set(" ".join(found.texts).split()) <= words | {"."}


def _folder():
    from recutils.data.fetch import fetch

    return fetch("clothing-reviews")


def test_parts_are_disjoint_whole_and_the_same_again() -> None:
    found = Labelled("many", ("x",) * 100, np.arange(100) % 2, ("no", "yes"), groups=np.arange(100) // 4)
    cut = parts(found)
    assert sorted(np.concatenate([cut.train, cut.valid, cut.test])) == list(range(100))
    assert [len(cut.train), len(cut.valid), len(cut.test)] == [60, 20, 20]
    groups = [set(found.groups[rows]) for rows in (cut.train, cut.valid, cut.test)]
    assert not groups[0] & groups[1] and not (groups[0] | groups[1]) & groups[2]
    assert np.array_equal(parts(found).test, cut.test) and not np.array_equal(parts(found, seed=1).test, cut.test)


def test_draws_keep_the_classes_shares() -> None:
    labels = (np.arange(1000) % 10 == 0).astype(int)
    found = Labelled("many", ("x",) * 1000, labels, ("no", "yes"))
    rows = drawn(found, np.arange(1000), 50, 0)
    assert len(set(rows)) == 50 and labels[rows].sum() in (5, 6)
    assert not np.array_equal(rows, drawn(found, np.arange(1000), 50, 1))
    assert labels[drawn(found, np.arange(1000), 3, 0)].sum() >= 1
    with pytest.raises(Problem, match="from 2 to 1000"):
        drawn(found, np.arange(1000), 1001, 0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"labels": np.zeros(2, int)}, "at least two"), ({"labels": np.array([0, 2])}, r"expected 0\.\.1"),
        ({"texts": ("a", " ")}, "1 of 2 texts are empty, the first in row 1"), ({"texts": ("a",)}, "one each"),
        ({"seconds": ("a", "")}, "seconds are empty"), ({"labels": np.array([0.0, 1.0])}, "whole numbers"),
    ],
)  # fmt: skip
def test_bad_input_says_what_and_where(change: dict, word: str) -> None:
    given = {"name": "two", "texts": ("a", "b"), "labels": np.array([0, 1]), "classes": ("no", "yes")} | change
    with pytest.raises(Problem, match=word):
        Labelled(**given)


def test_single_class_rows_and_small_data_are_refused() -> None:
    with pytest.raises(Problem, match="at least two"):
        TEN.only(np.array([0, 2, 4]))
    with pytest.raises(Problem, match="too few"):
        parts(TEN.only(np.array([0, 1])))
    with pytest.raises(Problem, match="expected one of"):
        load_labelled("nothing")
    assert set(READERS) == {"clothing-reviews", "drug-reviews", "reuters"}
