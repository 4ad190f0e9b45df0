"""Logs with propensities: the six real logs by count, and rows that no estimate could use."""

import numpy as np
import pandas as pd
import pytest

from recutils.data.bandit import CAMPAIGNS, Log, codes, open_bandit, prior, read_log
from recutils.tables import Problem

CLICKS = {"all": (38, 42), "men": (46, 69), "women": (46, 46)}
N_ITEMS = {"all": 80, "men": 34, "women": 46}


def made(**changed: list) -> Log:
    rows = {"item": [0, 1, 2, 1], "position": [0, 1, 0, 1], "click": [0, 1, 0, 0], "propensity": [0.5, 0.2, 0.3, 0.2]}
    rows = pd.DataFrame(rows | changed)
    items = pd.DataFrame({"item_id": range(3), "kind": ["a", "b", "a"]})
    return Log("made", rows, pd.DataFrame({"f": ["x"] * len(rows)}), np.zeros((len(rows), 3)), items, 2)


@pytest.mark.parametrize("campaign", CAMPAIGNS)
def test_real_logs_by_count(campaign: str) -> None:
    for policy, clicks in zip(("random", "bts"), CLICKS[campaign], strict=True):
        log = open_bandit(policy, campaign)
        assert (len(log), log.n_items, log.n_positions) == (10_000, N_ITEMS[campaign], 3)
        assert log.click.sum() == clicks == len(log.clicked)
        assert log.rows["time"].is_monotonic_increasing
    assert [len(one) for one in prior(campaign)] == [N_ITEMS[campaign]] * 2


def test_random_log_is_uniform_and_the_sampler_is_not() -> None:
    assert np.allclose(open_bandit("random", "men").propensity, 1 / 34)
    assert len(np.unique(open_bandit("bts", "men").propensity)) > 100


def test_items_are_hashed_apart_but_their_codes_agree() -> None:
    one, other = (open_bandit(policy, "all").items for policy in ("random", "bts"))
    kinds = ["item_feature_1", "item_feature_2", "item_feature_3"]
    assert not (one[kinds] == other[kinds]).any().any()
    np.testing.assert_array_equal(codes(one[kinds]), codes(other[kinds]))


def test_some_rows() -> None:
    part = made().only(np.array([False, True, False, True]))
    assert part.item.tolist() == [1, 1] and part.click.tolist() == [1, 0] and part.affinity.shape == (2, 3)
    assert made().only(np.array([2, 0])).item.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("propensity", [0.5, 0.0, 0.3, 0.2], "above 0"),
        ("propensity", [0.5, 1.2, 0.3, 0.2], "at most 1"),
        ("propensity", [0.5, np.nan, 0.3, 0.2], "1 such row"),
        ("click", [0, -1, 0, 0], "not negative"),
        ("click", [0, np.inf, 0, 0], "finite"),
        ("item", [0, 3, 2, 1], r"0\.\.2"),
        ("position", [0, 2, 0, 1], r"0\.\.1"),
    ],
)
def test_bad_rows_name_the_row_and_the_cure(column: str, values: list, says: str) -> None:
    with pytest.raises(Problem, match=says) as fault:
        made(**{column: values})
    assert "row 1" in str(fault.value)


def test_empty_logs_and_missing_columns() -> None:
    with pytest.raises(Problem, match="no impression"):
        made().only(np.zeros(4, dtype=bool))
    good = made()
    with pytest.raises(Problem, match="propensity"):
        Log("x", good.rows.drop(columns="propensity"), good.people, good.affinity, good.items, 2)
    with pytest.raises(Problem, match="affinity"):
        Log("x", good.rows, good.people, good.affinity[:, :2], good.items, 2)


def test_unknown_names() -> None:
    with pytest.raises(Problem, match="campaign must be one of all, men, women"):
        open_bandit("random", "kids")
    with pytest.raises(Problem, match="policy must be one of random, bts"):
        open_bandit("ucb", "all")
    with pytest.raises(Problem, match="campaign"):
        prior("kids")


def test_own_log_in_the_same_layout(tmp_path) -> None:
    table = {
        "timestamp": ["2020-01-02 00:00:00+00:00", "2020-01-01 00:00:00+00:00"],
        "item_id": [1, 0],
        "position": [2, 1],
        "click": [1, 0],
        "propensity_score": [0.4, 0.6],
        "user_feature_0": ["x", "y"],
        "user-item_affinity_0": [0.0, 1.0],
        "user-item_affinity_1": [0.0, 0.0],
    }
    pd.DataFrame(table).to_csv(tmp_path / "mine.csv")
    pd.DataFrame({"item_id": [1, 0], "kind": ["b", "a"]}).to_csv(tmp_path / "item_context.csv")
    log = read_log(tmp_path, "mine", "mine")
    assert log.item.tolist() == [0, 1] and log.position.tolist() == [0, 1] and log.items["kind"].tolist() == ["a", "b"]
    pd.DataFrame(table).drop(columns="propensity_score").to_csv(tmp_path / "mine.csv")
    with pytest.raises(Problem, match="propensity_score"):
        read_log(tmp_path, "mine", "mine")
