"""What a study's sources reach, and its best single model."""

from dataclasses import replace

import numpy as np
import pytest

from recutils.data import split
from recutils.evaluate.studied import best_single, reach
from recutils.evaluate.task import task
from recutils.rank.features import side_of
from recutils.rank.hybrid import random_cuts, study
from recutils.tables import Dataset


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
