"""Expected worth from planted tastes, and what the outcomes are."""

import numpy as np
import pandas as pd
import pytest

from recutils.rank import worth
from recutils.tables import Interactions, Problem


def planted(n_users: int = 80, n_items: int = 60, *, time: bool) -> Interactions:
    """Even users meet low items, odd users high ones; the first of each half is liked, the others are not."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(n_users), 16)
    item = np.concatenate([rng.permutation(n_items // 2)[:16] + (one % 2) * n_items // 2 for one in range(n_users)])
    value = np.where(item % 3 == 0, 5.0, 2.0)
    rows = pd.DataFrame({"user": user, "item": item, "value": value}).sample(frac=1, random_state=0)
    if time:
        rows["time"] = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(rows)), unit="h")
    return Interactions(rows, n_users, n_items)


@pytest.mark.parametrize("time", [True, False])
def test_expected_worth_finds_the_planted_taste(time: bool) -> None:
    train = planted(time=time)
    items, found = worth.expected(train, np.arange(40), explicit=True, n=40, seed=0)
    own = (items >= 30) == (np.arange(40) % 2 == 1)[:, None]
    assert found["clicks"][own].mean() > 3 * found["clicks"][~own].mean()
    liked = items % 3 == 0
    assert found["likes"][own & liked].mean() > 1.5 * found["likes"][own & ~liked].mean()
    met = train.matrix("binary")[:40].toarray()
    assert not np.take_along_axis(met, items, axis=1).any(), "what was met is no candidate"
    again = worth.expected(train, np.arange(40), explicit=True, n=40, seed=0)[1]
    assert np.array_equal(again["clicks"], found["clicks"])


def test_predictions_sum_to_what_happened_where_they_were_learnt() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=(50, 20, 2))
    happened = rng.poisson(np.exp(known[..., 0] - 2)).astype(float)
    found = worth._foreseen(known, happened, known)
    assert found.sum() == pytest.approx(happened.sum(), rel=1e-3)
    assert np.corrcoef(np.log(found).ravel(), known[..., 0].ravel())[0, 1] > 0.95


def test_outcomes_by_kind_of_data() -> None:
    rows = pd.DataFrame({"user": [0, 0, 1], "item": [0, 1, 1], "value": [5.0, 3.0, 40.0]})
    events = Interactions(rows, 2, 2)
    assert worth.outcomes(events, explicit=True)["likes"].toarray().tolist() == [[1, 0], [0, 1]]
    assert worth.outcomes(events, explicit=False)["dwell"].toarray().tolist() == [[5, 3], [0, 10]]
    assert list(worth.outcomes(Interactions(rows.assign(value=1.0), 2, 2), explicit=False)) == ["clicks"]
    assert events.matrix().nnz == 3, "the input is not changed"


def test_who_has_met_nearly_everything_gets_fills_without_worth() -> None:
    train = planted(time=False)
    train = train.only((train.user != 0) | (np.arange(len(train)) % 2 == 0))
    items, found = worth.expected(train, np.arange(5), explicit=True, n=60, seed=0)
    left = 60 - np.diff(train.matrix().indptr)[:5]
    assert left[0] > left[1] and items.shape == (5, left[0])
    assert (items >= 0).sum(axis=1).tolist() == left.tolist()
    assert np.array_equal(np.isfinite(found["clicks"]), items >= 0)


def test_too_many_candidates_and_too_few_events_are_refused() -> None:
    train = planted(time=True)
    with pytest.raises(Problem, match=r"1\.\.60"):
        worth.expected(train, np.arange(3), explicit=True, n=61, seed=0)
    rows = pd.DataFrame({"user": range(16), "item": 0, "value": 1.0, "time": pd.date_range("2000", periods=16)})
    with pytest.raises(Problem, match="both sides"):
        worth.expected(Interactions(rows, 16, 3), np.arange(3), explicit=False, n=2, seed=0)


def test_reserved_items_are_candidates_in_any_case_and_none_twice() -> None:
    train = planted(time=False)
    rare = np.arange(60) >= 55
    items, found = worth.expected(train, np.arange(40), explicit=True, n=12, seed=0, reserve=[rare, ~rare])
    unmet = rare & ~train.matrix("binary")[:40].toarray().astype(bool)
    held = np.array([np.isin(np.flatnonzero(row), one).all() for row, one in zip(unmet, items, strict=True)])
    assert held.all(), "at most 10 are rare, so all of them that were not met must be there"
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() >= 12 for row in items.tolist() for row in [np.array(row)])
    assert np.isfinite(found["clicks"][items >= 0]).all()
