"""The trivial rules on planted tables."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from recutils.model.baselines import Popularity, Random, RecentPopularity
from recutils.tables import Interactions, Problem


def met(days: list[int], items: list[int]) -> Interactions:
    time = pd.to_datetime("2020-01-01") + pd.to_timedelta(days, unit="D")
    return Interactions(
        pd.DataFrame({"user": range(len(items)), "item": items, "value": 5.0, "time": time}), len(items), 3
    )


def test_popularity_is_exact() -> None:
    model = Popularity().fit(met([0, 1, 2, 3], [1, 1, 2, 1]))
    assert model.score(sparse.csr_matrix((2, 3))).tolist() == [[0, 3, 1], [0, 3, 1]]


def test_an_event_halves_with_each_half_life() -> None:
    model = RecentPopularity(half_life=10).fit(met([0, 10, 20], [0, 1, 2]))
    np.testing.assert_allclose(model.counts, [0.25, 0.5, 1.0], rtol=1e-6)


def test_recent_popularity_says_what_it_needs() -> None:
    timeless = Interactions(met([0], [0]).rows.drop(columns="time"), 1, 3)
    with pytest.raises(Problem, match="needs a time"):
        RecentPopularity().fit(timeless)
    with pytest.raises(Problem, match="positive number of days"):
        RecentPopularity(half_life=0)


def test_random_differs_by_history_and_seed_and_is_uniform(ratings: Interactions) -> None:
    scores = Random(seed=1).fit(ratings).score(ratings.matrix())
    assert len(np.unique(scores[:, 0])) == ratings.n_users
    assert not np.array_equal(scores, Random(seed=2).fit(ratings).score(ratings.matrix()))
    n = scores.size
    assert abs(scores.mean() - 0.5) < 4 * np.sqrt(1 / 12 / n)
