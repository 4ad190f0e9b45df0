"""Gains over split seeds, and what a study's sources reach."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recutils.data import split
from recutils.evaluate.statistics import corrected_k_fold
from recutils.evaluate.studied import best_single, over_splits, reach
from recutils.evaluate.task import task
from recutils.rank.features import side_of
from recutils.rank.hybrid import random_cuts, study
from recutils.tables import Dataset, Problem

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


def test_reach_and_the_best_single_model(dataset: Dataset) -> None:
    parts = split.random_users(dataset.interactions, (0.6, 0.2, 0.2))
    rules = task(parts, "planted", 10)
    base = study(parts.train, side_of(dataset), random_cuts(parts.train, 2), n_candidates=8, only=["als"])
    found = reach(base, rules)
    truth = rules.truth.toarray() > 0
    pool = [truth[row, base.final.items[user]].sum() / truth[row].sum() for row, user in enumerate(rules.users)]
    assert found["the pool"] == pytest.approx(np.mean(pool)) and all(0 <= share <= 1 for share in found.values())
    single = best_single(base)
    worse = [({**lists, single: np.full_like(lists[single], -1)}, held) for lists, held in base.lists]
    assert best_single(replace(base, lists=tuple(worse))) != single
