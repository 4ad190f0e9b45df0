"""Means over random splits: corrected intervals, tests, records."""

import pandas as pd
import pytest

from recutils.data.split import Split, random_items
from recutils.evaluate.splits import over_splits, split_records, told
from recutils.evaluate.statistics import corrected_k_fold
from recutils.tables import Interactions, Problem


@pytest.fixture
def cut(ratings: Interactions) -> Split:
    return random_items(ratings)


LEVELS = pd.DataFrame(
    {"a": [0.50, 0.52, 0.51], "b": [0.49, 0.50, 0.50], "c": [0.50, 0.52, 0.51]}, index=[100, 101, 102]
)


def test_differences_over_splits_are_the_corrected_ones() -> None:
    over = over_splits(LEVELS, "a", ["b", "c"], 75, 25)
    wanted = corrected_k_fold([0.01, 0.02, 0.01], 75, 25)
    assert over.differences["b"].mean == pytest.approx(wanted.mean) and over.differences["b"].p == pytest.approx(
        wanted.p
    )
    assert over.p_holm["b"] == pytest.approx(2 * wanted.p) and over.differences["c"].mean == 0
    assert over.table()["splits above 0"].tolist() == ["3 of 3", "0 of 3"]


def test_records_hold_every_level_and_the_comparisons() -> None:
    about = {"notebook": "n", "dataset": "d", "protocol": "P2", "seed": 7}
    records = over_splits(LEVELS, "a", ["b"], 75, 25).records(n_users=9, split="random_items", **about)
    assert len(records) == 10 and records[-1].against == "b" and records[-1].n == 3
    assert {one.split for one in records[:3]} == {"random_items seed 100, test"}


def test_one_split_is_refused() -> None:
    with pytest.raises(Problem, match="at least two"):
        over_splits(LEVELS[:1], "a", ["b"], 75, 25)


def test_a_mean_over_splits_is_a_record_with_the_corrected_interval(cut: Split) -> None:
    about = {"notebook": "62", "dataset": "planted", "protocol": "P2", "split": "random_items", "seed": 1, "n_users": 9}
    levels = pd.DataFrame({"one": [0.4, 0.5, 0.6, 0.9], "same": [0.3, 0.3, 0.3, 0.9]}, index=[1, 2, 3, 42])
    found = split_records(levels, cut, [1, 2, 3], **about)
    assert len(found) == 10, "two models on four seeds, and two means"
    one, same = found[-2:]
    assert (one.model, one.n, one.group, one.split) == ("one", 3, "over splits", "random_items, 3 seeds, test")
    assert one.value == pytest.approx(0.5), "seed 42 is apart"
    assert one.low < 0.4, "three splits share their training data: the interval is wide"
    assert (same.low, same.high) == pytest.approx((0.3, 0.3))
    assert len(split_records(levels, cut, [1], **about)) == 8


def test_the_interval_in_words_says_when_there_is_none(cut: Split) -> None:
    assert "one split shows no spread" in told([0.5], cut)
    assert told([0.4, 0.5, 0.6], cut).startswith("over 3 splits, with the corrected interval: [")
